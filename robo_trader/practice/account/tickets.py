"""An order as the gateway keeps it, and an execution."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from robo_trader.core.events import Side

PENDING, PRE_SUBMITTED, SUBMITTED = "PendingSubmit", "PreSubmitted", "Submitted"
FILLED, CANCELLED, INACTIVE = "Filled", "Cancelled", "Inactive"
DONE = frozenset({FILLED, CANCELLED, INACTIVE})
STOPS = frozenset({"STP", "STP LMT", "TRAIL", "TRAIL LIMIT"})
TRAILING = frozenset({"TRAIL", "TRAIL LIMIT"})
ON_CLOSE = frozenset({"MOC", "LOC"})
OPENING = "OPG"
ADDED, REMOVED = 1, 2  # what a trade of ours did to the liquidity shown
ALL = -1  # of a released quantity: nothing is held back


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an order says besides side, quantity, type and limit; by default nothing. Prices and amounts in USD."""

    aux: Decimal | None = None  # stop price, or the amount by which a stop trails
    trail_stop: Decimal | None = None
    trailing_percent: Decimal | None = None
    limit_offset: Decimal | None = None
    trigger_method: int = 0
    oca_group: str = ""
    oca_type: int = 0
    parent_id: int = 0
    good_after: str = ""
    good_till: str = ""
    display_size: int = 0
    all_or_none: bool = False
    outside_rth: bool = False
    hidden: bool = False
    algo: str = ""
    algo_params: tuple[tuple[str, str], ...] = ()
    # From here on nothing changes how a share trades here; it is told back as it was said.
    open_close: str = ""
    origin: int = 0
    block: bool = False
    sweep: bool = False
    short_sale_slot: int = 0
    designated_location: str = ""
    exempt_code: int | None = -1
    rule_80a: str = ""
    settling_firm: str = ""
    percent_offset: Decimal | None = None
    opt_out_smart: bool = False
    clearing_account: str = ""
    clearing_intent: str = ""
    not_held: bool = False
    solicited: bool = False
    randomize_size: bool = False
    randomize_price: bool = False
    soft_dollar_name: str = ""
    soft_dollar_value: str = ""
    oms_container: bool = False
    discretionary_up_to_limit: bool = False
    price_management: bool = False
    duration: int | None = None
    post_to_ats: int | None = None
    auto_cancel_parent: bool = False


class Ticket(msgspec.Struct, frozen=True):
    """One client's order and what has become of it. Prices and money in USD; `notional` is filled shares x price.

    `released` shares may trade, `ALL` of them unless a parent order has filled only in part; `reduced` were taken off
    by the rest of an OCA group. Times are UTC ns, 0 for none.
    """

    perm_id: int
    client_id: int
    order_id: int
    symbol: str
    side: Side
    quantity: int
    type: str
    limit: Decimal | None
    tif: str
    ref: str
    account: str
    status: str = PRE_SUBMITTED
    filled: int = 0
    notional: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    last_price: Decimal = Decimal(0)
    fills: int = 0
    reason: str = ""
    done_ts: int = 0
    terms: Terms = Terms()
    manual: bool = False  # made in TWS, not by an API client
    held: str = ""  # why it is kept from the market, such as `locate`
    pinned: bool = False  # held on command, until released on command
    parent: int = 0  # permanent id
    released: int = ALL
    reduced: int = 0
    oca: str = ""
    oca_type: int = 3
    stop: Decimal | None = None  # where a stop stands that has not been triggered
    triggered: bool = False
    trigger_seen: int = 0  # prices in a row that would trigger
    starts: int = 0
    expires: int = 0
    since: int = 0  # when it was first worked

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled

    @property
    def workable(self) -> int:
        """The shares that may trade now."""
        return (
            self.remaining
            if self.released == ALL
            else max(0, min(self.released, self.quantity) - self.filled)
        )

    @property
    def done(self) -> bool:
        return self.status in DONE

    @property
    def waits_for_trigger(self) -> bool:
        return self.type in STOPS and not self.triggered

    @property
    def why_held(self) -> str:
        """Why it does not trade, in the words of orderStatus."""
        reasons = (
            self.held,
            "child" if self.parent and self.released == 0 else "",
            "trigger" if self.waits_for_trigger else "",
        )
        return ",".join(reason for reason in reasons if reason)

    @property
    def average(self) -> Decimal:
        """The average price of what was filled, 0 while nothing was."""
        return (self.notional / self.filled).quantize(Decimal("0.00000001")) if self.filled else Decimal(0)

    @property
    def priced_at(self) -> Decimal | None:
        """The limit that binds it now, None where it trades at any price."""
        return None if self.type in ("STP", "TRAIL", "MOC", "MKT") else self.limit


class Execution(msgspec.Struct, frozen=True):
    """Shares that changed hands. `ts` UTC ns; `realised` None where the trade only opened a position.

    The last part of its id counts its versions: the highest stands, one of no shares was busted.
    """

    exec_id: str
    perm_id: int
    client_id: int
    order_id: int
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    commission: Decimal
    realised: Decimal | None
    cumulative: int
    average: Decimal
    ref: str
    account: str
    ts: int
    exchange: str = "NASDAQ"
    liquidity: int = ADDED

    @property
    def trade(self) -> str:
        """What all versions of one execution have in common."""
        return self.exec_id.rpartition(".")[0]

    @property
    def version(self) -> int:
        return int(self.exec_id.rpartition(".")[2])
