"""What is known of a share besides its trades: its name, its exchanges, its numbers, and its listings abroad."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import msgspec

# Symbol | primary exchange | long name | industry | category | ISIN, as far as they are known here.
_SHARES = """\
AAPL|NASDAQ|APPLE INC|Technology|Computers|US0378331005
ABBV|NYSE|ABBVIE INC|Consumer, Non-cyclical|Pharmaceuticals|US00287Y1091
ABNB|NASDAQ|AIRBNB INC-CLASS A|Communications|Internet|
ABT|NYSE|ABBOTT LABORATORIES|Consumer, Non-cyclical|Healthcare-Products|US0028241000
ADBE|NASDAQ|ADOBE INC|Technology|Software|US00724F1012
AMAT|NASDAQ|APPLIED MATERIALS INC|Technology|Semiconductors|US0382221051
AMD|NASDAQ|ADVANCED MICRO DEVICES|Technology|Semiconductors|US0079031078
AMGN|NASDAQ|AMGEN INC|Consumer, Non-cyclical|Biotechnology|US0311621009
AMZN|NASDAQ|AMAZON.COM INC|Communications|Internet|US0231351067
AVGO|NASDAQ|BROADCOM INC|Technology|Semiconductors|US11135F1012
AXP|NYSE|AMERICAN EXPRESS CO|Financial|Diversified Finan Serv|US0258161092
BA|NYSE|BOEING CO/THE|Industrial|Aerospace/Defense|US0970231058
BAC|NYSE|BANK OF AMERICA CORP|Financial|Banks|US0605051046
BLK|NYSE|BLACKROCK INC|Financial|Diversified Finan Serv|
BRK B|NYSE|BERKSHIRE HATHAWAY INC-CL B|Financial|Insurance|US0846707026
C|NYSE|CITIGROUP INC|Financial|Banks|US1729674242
CAT|NYSE|CATERPILLAR INC|Industrial|Machinery-Constr&Mining|US1491231015
CMCSA|NASDAQ|COMCAST CORP-CLASS A|Communications|Media|US20030N1019
COIN|NASDAQ|COINBASE GLOBAL INC -CLASS A|Financial|Diversified Finan Serv|
COST|NASDAQ|COSTCO WHOLESALE CORP|Consumer, Cyclical|Retail|US22160K1051
CRM|NYSE|SALESFORCE INC|Technology|Software|US79466L3024
CSCO|NASDAQ|CISCO SYSTEMS INC|Communications|Telecommunications|US17275R1023
CVX|NYSE|CHEVRON CORP|Energy|Oil&Gas|US1667641005
DE|NYSE|DEERE & CO|Industrial|Machinery-Diversified|US2441991054
DIA|ARCA|SPDR DJIA TRUST|Funds|Equity Fund|
DIS|NYSE|WALT DISNEY CO/THE|Communications|Media|US2546871060
EEM|ARCA|ISHARES MSCI EMERGING MARKET|Funds|Equity Fund|
EL|NYSE|ESTÉE LAUDER COMPANIES-CL A|Consumer, Non-cyclical|Cosmetics/Personal Care|US5184391044
F|NYSE|FORD MOTOR CO|Consumer, Cyclical|Auto Manufacturers|US3453708600
FDX|NYSE|FEDEX CORP|Industrial|Transportation|
GE|NYSE|GENERAL ELECTRIC|Industrial|Aerospace/Defense|
GILD|NASDAQ|GILEAD SCIENCES INC|Consumer, Non-cyclical|Biotechnology|US3755581036
GLD|ARCA|SPDR GOLD SHARES|Funds|Commodity Fund|US78463V1070
GM|NYSE|GENERAL MOTORS CO|Consumer, Cyclical|Auto Manufacturers|
GOOG|NASDAQ|ALPHABET INC-CL C|Communications|Internet|US02079K1079
GOOGL|NASDAQ|ALPHABET INC-CL A|Communications|Internet|US02079K3059
GS|NYSE|GOLDMAN SACHS GROUP INC|Financial|Banks|US38141G1040
HD|NYSE|HOME DEPOT INC|Consumer, Cyclical|Retail|US4370761029
HON|NASDAQ|HONEYWELL INTERNATIONAL INC|Industrial|Electronics|US4385161066
IBM|NYSE|INTL BUSINESS MACHINES CORP|Technology|Computers|US4592001014
INTC|NASDAQ|INTEL CORP|Technology|Semiconductors|US4581401001
INTU|NASDAQ|INTUIT INC|Technology|Software|
ISRG|NASDAQ|INTUITIVE SURGICAL INC|Consumer, Non-cyclical|Healthcare-Products|
IWM|ARCA|ISHARES RUSSELL 2000 ETF|Funds|Equity Fund|
JNJ|NYSE|JOHNSON & JOHNSON|Consumer, Non-cyclical|Pharmaceuticals|US4781601046
JPM|NYSE|JPMORGAN CHASE & CO|Financial|Banks|US46625H1005
KO|NYSE|COCA-COLA CO/THE|Consumer, Non-cyclical|Beverages|US1912161007
LIN|NASDAQ|LINDE PLC|Basic Materials|Chemicals|
LLY|NYSE|ELI LILLY & CO|Consumer, Non-cyclical|Pharmaceuticals|US5324571083
LMT|NYSE|LOCKHEED MARTIN CORP|Industrial|Aerospace/Defense|US5398301094
LOW|NYSE|LOWE'S COS INC|Consumer, Cyclical|Retail|US5486611073
MA|NYSE|MASTERCARD INC - A|Financial|Diversified Finan Serv|US57636Q1040
MCD|NYSE|MCDONALD'S CORP|Consumer, Cyclical|Retail|US5801351017
META|NASDAQ|META PLATFORMS INC-CLASS A|Communications|Internet|US30303M1027
MMM|NYSE|3M CO|Industrial|Miscellaneous Manufactur|
MRK|NYSE|MERCK & CO. INC.|Consumer, Non-cyclical|Pharmaceuticals|
MRNA|NASDAQ|MODERNA INC|Consumer, Non-cyclical|Biotechnology|
MS|NYSE|MORGAN STANLEY|Financial|Banks|US6174464486
MSFT|NASDAQ|MICROSOFT CORP|Technology|Software|US5949181045
MU|NASDAQ|MICRON TECHNOLOGY INC|Technology|Semiconductors|US5951121038
NFLX|NASDAQ|NETFLIX INC|Communications|Internet|US64110L1061
NKE|NYSE|NIKE INC -CL B|Consumer, Cyclical|Apparel|US6541061031
NOW|NYSE|SERVICENOW INC|Technology|Software|
NVDA|NASDAQ|NVIDIA CORP|Technology|Semiconductors|US67066G1040
ORCL|NYSE|ORACLE CORP|Technology|Software|US68389X1054
PANW|NASDAQ|PALO ALTO NETWORKS INC|Technology|Computers|
PEP|NASDAQ|PEPSICO INC|Consumer, Non-cyclical|Beverages|US7134481081
PFE|NYSE|PFIZER INC|Consumer, Non-cyclical|Pharmaceuticals|US7170811035
PG|NYSE|PROCTER & GAMBLE CO/THE|Consumer, Non-cyclical|Cosmetics/Personal Care|US7427181091
PLTR|NASDAQ|PALANTIR TECHNOLOGIES INC-A|Technology|Software|
PM|NYSE|PHILIP MORRIS INTERNATIONAL|Consumer, Non-cyclical|Agriculture|
PYPL|NASDAQ|PAYPAL HOLDINGS INC|Financial|Diversified Finan Serv|US70450Y1038
QCOM|NASDAQ|QUALCOMM INC|Technology|Semiconductors|US7475251036
QQQ|NASDAQ|INVESCO QQQ TRUST SERIES 1|Funds|Equity Fund|US46090E1038
RTX|NYSE|RTX CORP|Industrial|Aerospace/Defense|
SBUX|NASDAQ|STARBUCKS CORP|Consumer, Cyclical|Retail|US8552441094
SLV|ARCA|ISHARES SILVER TRUST|Funds|Commodity Fund|
SMCI|NASDAQ|SUPER MICRO COMPUTER INC|Technology|Computers|
SNOW|NYSE|SNOWFLAKE INC|Technology|Software|
SPY|ARCA|SS SPDR S&P 500 ETF TRUST-US|Funds|Equity Fund|US78462F1030
T|NYSE|AT&T INC|Communications|Telecommunications|US00206R1023
TGT|NYSE|TARGET CORP|Consumer, Cyclical|Retail|US87612E1064
TLT|NASDAQ|ISHARES 20+ YEAR TREASURY BD|Funds|Debt Fund|
TMUS|NASDAQ|T-MOBILE US INC|Communications|Telecommunications|
TSLA|NASDAQ|TESLA INC|Consumer, Cyclical|Auto Manufacturers|US88160R1014
TXN|NASDAQ|TEXAS INSTRUMENTS INC|Technology|Semiconductors|US8825081040
UBER|NYSE|UBER TECHNOLOGIES INC|Technology|Internet|
UNH|NYSE|UNITEDHEALTH GROUP INC|Consumer, Non-cyclical|Healthcare-Services|US91324P1021
UPS|NYSE|UNITED PARCEL SERVICE-CL B|Industrial|Transportation|US9113121068
V|NYSE|VISA INC-CLASS A SHARES|Financial|Diversified Finan Serv|US92826C8394
VOO|ARCA|VANGUARD S&P 500 ETF|Funds|Equity Fund|
VTI|ARCA|VANGUARD TOTAL STOCK MKT ETF|Funds|Equity Fund|
VZ|NYSE|VERIZON COMMUNICATIONS INC|Communications|Telecommunications|US92343V1044
WFC|NYSE|WELLS FARGO & CO|Financial|Banks|US9497461015
WMT|NYSE|WALMART INC|Consumer, Cyclical|Retail|US9311421039
XLE|ARCA|ENERGY SELECT SECTOR SPDR|Funds|Equity Fund|
XLF|ARCA|FINANCIAL SELECT SECTOR SPDR|Funds|Equity Fund|
XLK|ARCA|TECHNOLOGY SELECT SECT SPDR|Funds|Equity Fund|
XLV|ARCA|HEALTH CARE SELECT SECTOR|Funds|Equity Fund|
XOM|NYSE|EXXON MOBIL CORP|Energy|Oil&Gas|US30231G1022
"""
# Where some of them are listed abroad: such a listing can be looked up, but it does not trade here.
_ABROAD = {
    "CAD": (
        "AEQLIT",
        ("SMART", "AEQLIT"),
        ("AAPL", "AMZN", "GOOG", "IBM", "META", "MSFT", "NFLX", "NVDA", "TSLA"),
    ),
    "MXN": (
        "MEXI",
        ("MEXI",),
        ("AAPL", "AMZN", "BAC", "DIS", "F", "GE", "INTC", "KO", "MSFT", "NVDA", "TSLA", "WMT"),
    ),
}
_FIGIS = {
    "AAPL": "BBG000B9XRY4", "AMZN": "BBG000BVPV84", "GOOGL": "BBG009S39JX6", "IBM": "BBG000BLNNH6",
    "MSFT": "BBG000BPH459", "NVDA": "BBG000BBJQV0", "SPY": "BBG000BDTBL9", "TSLA": "BBG000N9MNX3",
}  # fmt: skip
_US_EXCHANGES = (
    "SMART", "AMEX", "NYSE", "CBOE", "PHLX", "CHX", "ARCA", "NASDAQ", "DRCTEDGE", "BEX", "BATS", "EDGEA", "BYX", "IEX",
    "PSX",
)  # fmt: skip
_OLD_NAMES = {"ISLAND": "NASDAQ", "NASDAQ.NMS": "NASDAQ"}
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Listing(msgspec.Struct, frozen=True):
    """One share on one market. `exchanges` are where an order for it may be sent."""

    con_id: int
    symbol: str
    currency: str
    primary: str
    exchanges: tuple[str, ...]
    name: str
    industry: str
    category: str
    isin: str
    figi: str
    trades_here: bool

    @property
    def trading_class(self) -> str:
        """NMS for what Nasdaq lists, the symbol itself elsewhere."""
        return "NMS" if self.primary == "NASDAQ" else self.symbol

    @property
    def stock_type(self) -> str:
        return "ETF" if self.industry == "Funds" else "COMMON"


def con_id_of(symbol: str, currency: str = "USD") -> int:
    """Return the contract id of a share here: made from its symbol, so the same in every session."""
    digest = hashlib.sha256(f"STK/{symbol}/{currency}".encode()).digest()
    return 100_000_000 + int.from_bytes(digest[:4], "big") % 900_000_000


def current_name(exchange: str) -> str:
    """Return what an exchange is called today.

    >>> current_name("ISLAND"), current_name("IEX")
    ('NASDAQ', 'IEX')
    """
    return _OLD_NAMES.get(exchange, exchange)


@lru_cache(maxsize=16_384)
def american(symbol: str) -> Listing:
    """Return the US listing of a symbol; one that is not known here by name is a Nasdaq share of its own kind."""
    return _KNOWN.get(symbol) or Listing(
        con_id_of(symbol), symbol, "USD", "NASDAQ", _US_EXCHANGES, f"{symbol} PRACTICE SHARE", "", "",
        drawn_isin(symbol), "", True,
    )  # fmt: skip


def abroad(symbol: str) -> list[Listing]:
    """Return the listings of a symbol outside the US, none for most."""
    home = american(symbol)
    return [
        msgspec.structs.replace(
            home, con_id=con_id_of(symbol, currency), currency=currency, primary=primary, exchanges=exchanges,
            isin=drawn_isin(symbol, currency), figi="", trades_here=False,
        )
        for currency, (primary, exchanges, symbols) in _ABROAD.items()
        if symbol in symbols
    ]  # fmt: skip


def drawn_isin(symbol: str, currency: str = "USD") -> str:
    """Return an ISIN made up from the symbol, with its check digit: US, nine letters and digits, the digit.

    >>> drawn_isin("ZZZZ")[:2], len(drawn_isin("ZZZZ"))
    ('US', 12)
    """
    drawn = int.from_bytes(hashlib.sha256(f"ISIN/{symbol}/{currency}".encode()).digest()[:8], "big")
    letters = "".join(_ALPHABET[drawn // 36**k % 36] for k in range(9))
    body = {"USD": "US", "CAD": "CA", "MXN": "MX"}[currency] + letters
    return body + check_digit(body)


def check_digit(body: str) -> str:
    """Return the last digit of an ISIN that begins with these eleven characters (ISO 6166).

    >>> check_digit("US037833100")
    '5'
    """
    digits = "".join(str(_ALPHABET.index(letter)) for letter in body)
    doubled = [int(digit) * (2 - k % 2) for k, digit in enumerate(reversed(digits))]
    return str(-sum(sum(divmod(number, 10)) for number in doubled) % 10)


def _read(row: str) -> Listing:
    symbol, primary, name, industry, category, isin = row.split("|")
    return Listing(
        con_id_of(symbol), symbol, "USD", primary, _US_EXCHANGES, name, industry, category,
        isin or drawn_isin(symbol), _FIGIS.get(symbol, ""), True,
    )  # fmt: skip


_KNOWN = {listing.symbol: listing for listing in map(_read, _SHARES.splitlines())}
WELL_KNOWN = tuple(_KNOWN)
