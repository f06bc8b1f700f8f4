"""The ledger against hand-computed books and its one identity."""

from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.events import AccountSnapshot, Fill, Holding, Lot, Side
from robo_trader.core.instrument import Instrument
from robo_trader.core.portfolio import Portfolio


def opened(
    cash: str = "10000", holdings: tuple[Holding, ...] = (), fills: tuple[Fill, ...] = ()
) -> Portfolio:
    portfolio = Portfolio({"NVDA": Instrument("NVDA")})
    portfolio.open(AccountSnapshot(0, "DU1", D(cash), D(cash), holdings, fills=fills))
    return portfolio


def fill(
    n: int, side: Side, quantity: int, price: str, commission: str | None = None, symbol: str = "NVDA"
) -> Fill:
    return Fill(
        n, f"o{n}", f"e{n}", symbol, side, quantity, D(price), None if commission is None else D(commission)
    )


def test_fifo_lots_are_consumed_oldest_first_and_commission_lowers_realised():
    books = opened()
    books.apply(fill(1, Side.BUY, 10, "100", "1"))
    books.apply(fill(2, Side.BUY, 10, "110", "1"))
    books.apply(fill(3, Side.SELL, 15, "120", "1.50"))
    # 10 x (120-100) + 5 x (120-110) = 250, less 3.50 of commission
    assert books.realised == D("246.50")
    assert books.quantity("NVDA") == 5
    assert books.cash == D(10000) - 1000 - 1100 + 1800 - D("3.50")


def test_a_sale_through_zero_flips_to_a_short_whose_cover_realises():
    books = opened()
    books.apply(fill(1, Side.BUY, 10, "100"))
    books.apply(fill(2, Side.SELL, 25, "104"))
    assert books.quantity("NVDA") == -15
    assert books.realised == D(40)
    books.apply(fill(3, Side.BUY, 15, "100"))
    assert books.quantity("NVDA") == 0
    assert books.realised == D(100)
    assert books.cash == D(10100)


def test_a_fill_told_twice_is_booked_once_and_its_commission_when_it_comes():
    books = opened()
    assert books.apply(fill(1, Side.BUY, 10, "100"))
    assert not books.apply(fill(1, Side.BUY, 10, "100"))
    assert books.apply(fill(1, Side.BUY, 10, "100", "1"))
    assert not books.apply(fill(1, Side.BUY, 10, "100", "1"))
    assert (books.cash, books.realised) == (D(8999), D(-1))


def test_fills_that_the_opening_books_contain_change_nothing_when_heard_again():
    known = fill(1, Side.BUY, 10, "100", "1")
    books = opened("8999", (Holding("NVDA", 10, (Lot(10, D(100)),), 10),), (known,))
    assert not books.apply(known)
    assert books.quantity("NVDA") == 10


def test_equity_is_unknown_while_a_holding_has_no_price():
    books = opened("5000", (Holding("NVDA", 10, (Lot(10, D(100)),), 10),))
    assert books.equity() is None
    assert books.summary(0) is None
    books.mark("NVDA", 99.5, 1)
    assert books.equity() == D(5995)


trades = st.lists(
    st.tuples(
        st.sampled_from(["NVDA", "AAPL"]),
        st.sampled_from(list(Side)),
        st.integers(1, 300),
        st.decimals("0.01", "900", places=2),
        st.decimals("0", "9", places=4),
        st.floats(0.02, 1000),
    ),
    min_size=1,
    max_size=40,
)


@given(trades)
def test_cash_plus_value_is_start_plus_realised_plus_unrealised_at_every_step(steps):
    books = opened("100000", (Holding("AAPL", -7, (Lot(-7, D("150.25")),), -7),))
    books.mark("AAPL", 151.0, 0)
    books.mark("NVDA", 100.0, 0)
    shares, marks = {"AAPL": -7, "NVDA": 0}, {"AAPL": 151.0, "NVDA": 100.0}
    for n, (symbol, side, quantity, price, commission, mark) in enumerate(steps):
        books.apply(Fill(n, f"o{n}", f"e{n}", symbol, side, quantity, price, commission))
        books.mark(symbol, mark, n)
        shares[symbol] += side.sign * quantity
        marks[symbol] = mark
        now = books.summary(n)
        assert now is not None
        assert now.cash + now.value == now.start + now.realised + now.unrealised
        # Kept between two questions, both must be what they would be if asked for the first time.
        assert now.value == sum(shares[s] * Instrument(s).price(marks[s]) for s in shares)
        assert books.cost == sum(position.cost for position in books.positions.values())
        assert (
            books.quantity(symbol)
            == shares[symbol]
            == sum(lot.quantity for lot in books.positions[symbol].lots)
        )
        assert len({lot.quantity > 0 for lot in books.positions[symbol].lots}) <= 1
