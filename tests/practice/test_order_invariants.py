"""Whatever clients do in whatever order, the books add up and no order does what it may not."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ib_async import Order, TagValue

from robo_trader.core.events import MINUTE_NS, Side
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.account import tickets
from robo_trader.practice.account.books import Books
from robo_trader.practice.account.state import State
from robo_trader.practice.account.tickets import Execution, Terms, Ticket
from robo_trader.practice.market.contracts import Contract, Directory
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.orders.order_book import OrderBook, Told
from robo_trader.practice.orders.requests import PlaceOrder, read_place_order
from robo_trader.practice.protocol.wire import Cursor, WireError
from robo_trader.simulation.tape import TapeMarket
from tests.practice.test_fields import sent_by_ib_async

SHARE = Contract(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD")
START = Decimal(100_000)
ACCOUNT = "DUP000001"
LEGAL = {
    "": {"PreSubmitted", "Inactive", "Cancelled"},
    "PreSubmitted": {"PreSubmitted", "Submitted", "Filled", "Cancelled", "Inactive"},
    "Submitted": {"PreSubmitted", "Submitted", "Filled", "Cancelled"},
    "Filled": {"Filled"},
    "Cancelled": {"Cancelled"},
    "Inactive": {"Inactive"},
}
ALGOS = (("", ()), ("", ()), ("Adaptive", (("adaptivePriority", "Urgent"),)), ("Twap", ()), ("Vwap", ()))
KINDS_OF_ORDERS = ("MKT", "LMT", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT", "MOC", "LOC", "MIDPRICE")
KINDS = st.sampled_from(["MKT", "LMT", "LMT", "LMT", "STP", "STP LMT", "TRAIL", "MOC", "LOC", "MIDPRICE"])
CENTS = st.integers(19_700, 20_400)


class OrdersAtRandom(RuleBasedStateMachine):
    def __init__(self, tape: TapeMarket) -> None:
        super().__init__()
        self.exchange = Exchange(tape, XnysCalendar(), None)
        self.directory = Directory(lambda symbol: symbol == "AAPL", ("AAPL",))
        self.first_perm_id = 0
        self.told: dict[int, list[str]] = defaultdict(list)  # by permanent id
        self.orders = self.anew([], [], Books(START))
        self.next_id = 1
        self.placed: dict[int, PlaceOrder] = {}
        self.ended: dict[int, int] = {}  # fills at the end of each order that ended

    def anew(self, known: list[Ticket], fills: list[Execution], books: Books) -> OrderBook:
        self.first_perm_id += 100_000
        orders = OrderBook(ACCOUNT, self.exchange, self.directory, books, None, self.first_perm_id)
        orders.restore(known, fills)
        self.hear(orders.commit())
        return orders

    def hear(self, told: list[Told]) -> None:
        for _, message in told:
            fields = message(178)[4:-1].decode().split("\0")
            if fields[0] == "3":
                self.told[int(fields[6])].append(fields[2])

    # ------------------------------------------------------------------------------------------ what happens

    @rule(
        kind=KINDS, side=st.sampled_from(list(Side)), quantity=st.integers(1, 400), limit=CENTS, stop=CENTS,
        tif=st.sampled_from(["DAY", "DAY", "GTC", "IOC", "FOK", "OPG"]), algo=st.sampled_from(ALGOS),
        oca=st.sampled_from(["", "", "a", "b"]), oca_type=st.integers(0, 3), display=st.sampled_from([0, 0, 30]),
        whole=st.sampled_from([False, False, False, True]), transmit=st.sampled_from([True, True, False]),
        family=st.integers(0, 3),
    )  # fmt: skip
    def place(self, **wish: Any) -> None:
        parent = self.next_id - wish["family"] if wish["family"] else 0
        terms = Terms(
            aux=Decimal(wish["stop"]) / 100, oca_group=wish["oca"], oca_type=wish["oca_type"],
            display_size=wish["display"], all_or_none=wish["whole"], parent_id=max(0, parent), algo=wish["algo"][0],
            algo_params=wish["algo"][1],
        )  # fmt: skip
        self._send(
            PlaceOrder(
                self.next_id,
                SHARE,
                str(wish["side"]),
                wish["quantity"],
                wish["kind"],
                Decimal(wish["limit"]) / 100,
                wish["tif"],
                "",
                "",
                "",
                wish["transmit"],
                False,
                terms,
            )
        )

    @rule(
        quantity=st.integers(1, 400), entry=CENTS, width=st.integers(1, 60), side=st.sampled_from(list(Side))
    )
    def place_bracket(self, quantity: int, entry: int, width: int, side: Side) -> None:
        parent, other = self.next_id, Side.SELL if side is Side.BUY else Side.BUY
        prices = (
            Decimal(entry) / 100,
            Decimal(entry + side.sign * width) / 100,
            Decimal(entry - side.sign * width) / 100,
        )
        legs = (
            ("LMT", side, prices[0], None),
            ("LMT", other, prices[1], None),
            ("STP", other, None, prices[2]),
        )
        for i, (kind, way, limit, stop) in enumerate(legs):
            terms = Terms(aux=stop, parent_id=parent if i else 0)
            request = PlaceOrder(
                self.next_id, SHARE, str(way), quantity, kind, limit, "GTC", "", "", "", i == 2,
                terms=terms,
            )  # fmt: skip
            self._send(request)

    def _send(self, request: PlaceOrder) -> None:
        self.placed[request.order_id] = request
        self.next_id = max(self.next_id, request.order_id + 1)
        self.hear(self.orders.place(1, request, self.exchange.now))

    @precondition(lambda self: self.placed)
    @rule(pick=st.integers(0, 1_000), quantity=st.integers(1, 500), limit=CENTS, stop=CENTS)
    def modify(self, pick: int, quantity: int, limit: int, stop: int) -> None:
        request = list(self.placed.values())[pick % len(self.placed)]
        terms = msgspec.structs.replace(request.terms, aux=Decimal(stop) / 100)
        self._send(
            msgspec.structs.replace(
                request, quantity=quantity, limit=Decimal(limit) / 100, terms=terms, transmit=True
            )
        )

    @precondition(lambda self: self.placed)
    @rule(pick=st.integers(0, 1_000))
    def cancel(self, pick: int) -> None:
        order_id = list(self.placed)[pick % len(self.placed)]
        self.hear(self.orders.cancel(1, order_id, self.exchange.now))

    @rule()
    def cancel_all(self) -> None:
        self.hear(self.orders.cancel_all(self.exchange.now))

    @rule(beats=st.integers(1, 60))
    def advance(self, beats: int) -> None:
        for _ in range(beats):
            if not self.exchange.step():
                return
            if self.exchange.now < self.exchange.session.open:
                self.orders.forget_past()
            self.hear(self.orders.on_beat(self.exchange.now))

    @rule()
    def go_to_the_close(self) -> None:
        """Jump to the last minutes of the day with empty books, as a restart would find them."""
        if self.exchange.now < self.exchange.session.close - 11 * MINUTE_NS:
            self.exchange.seek(self.exchange.session.close - 11 * MINUTE_NS)

    @rule(seconds=st.integers(5, 120))
    def halt(self, seconds: int) -> None:
        if self.exchange.is_open:
            self.exchange.begin_halt("AAPL", "news", self.exchange.now + seconds * 1_000_000_000)

    @precondition(lambda self: self.orders.working())
    @rule(pick=st.integers(0, 1_000), hold=st.booleans())
    def hold_or_release(self, pick: int, hold: bool) -> None:
        live = self.orders.working()
        perm_id = live[pick % len(live)].perm_id
        now = self.exchange.now
        self.hear(self.orders.hold(perm_id, "locate") if hold else self.orders.release(perm_id, now))

    @precondition(lambda self: self.orders.executed())
    @rule(pick=st.integers(0, 1_000), cents=CENTS, bust=st.booleans())
    def correct(self, pick: int, cents: int, bust: bool) -> None:
        fills = [fill for fill in self.orders.executed() if fill.quantity]
        if fills:
            fill = fills[pick % len(fills)]
            if bust:
                self.hear(self.orders.bust(fill.exec_id))
            else:
                self.hear(self.orders.correct(fill.exec_id, Decimal(cents) / 100, fill.quantity))

    @rule()
    def restart(self) -> None:
        encode = msgspec.json.Encoder(decimal_format="string").encode
        known = [*self.orders.working(), *self.orders.completed()]
        saved = msgspec.json.decode(encode(sorted(known, key=lambda t: t.perm_id)), type=list[Ticket])
        fills = msgspec.json.decode(encode(self.orders.executed()), type=list[Execution])
        self.exchange.seek(self.exchange.now)
        self.orders = self.anew(saved, fills, self.orders.books)

    # -------------------------------------------------------------------------------------- what always holds

    @invariant()
    def no_order_trades_more_than_it_wants(self) -> None:
        for ticket in [*self.orders.working(), *self.orders.completed()]:
            assert 0 <= ticket.filled <= ticket.quantity
            assert ticket.done == (ticket.perm_id not in {t.perm_id for t in self.orders.working()})

    @invariant()
    def the_books_are_the_sum_of_the_executions(self) -> None:
        books, fills = self.orders.books, self.orders.executed()
        if self.exchange.session.label == "2026-01-13" and not books.opening:
            signed = [fill.side.sign * fill.quantity for fill in fills]
            assert books.quantity("AAPL") == sum(signed)
            spent = sum(
                (n * fill.price + fill.commission for n, fill in zip(signed, fills, strict=True)), Decimal(0)
            )
            assert books.cash == START - spent

    @invariant()
    def no_order_trades_after_its_end(self) -> None:
        for ticket in self.orders.completed():
            assert self.ended.setdefault(ticket.perm_id, ticket.fills) == ticket.fills

    @invariant()
    def no_group_is_filled_twice(self) -> None:
        groups: dict[str, list[Ticket]] = defaultdict(list)
        for ticket in self.orders.completed():
            if ticket.oca.isdigit() and ticket.status == tickets.FILLED:
                groups[ticket.oca].append(ticket)
        assert all(len(filled) <= 1 or sum(t.reduced for t in filled) for filled in groups.values())

    @invariant()
    def statuses_only_take_legal_steps(self) -> None:
        for said in self.told.values():
            for before, after in pairwise(["", *said]):
                assert after in LEGAL[before], said

    @invariant()
    def nothing_rests_that_has_ended(self) -> None:
        book = self.exchange.book("AAPL")
        live: dict[int, Ticket] = {ticket.perm_id: ticket for ticket in self.orders.working()}
        if book is not None and self.exchange.halt("AAPL") is None:
            assert all(key in live and book.remaining(key) <= live[key].workable for key in book._resting)


SPELLINGS = (
    "",
    "0",
    "-1",
    "nan",
    "inf",
    "1e299",
    "1.7976931348623157E308",
    "2147483647",
    "99991231 23:59:59",
    "x" * 50,
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(KINDS_OF_ORDERS), algo=st.sampled_from(["", "Twap", "Vwap"]),
    spoilt=st.lists(st.tuples(st.integers(1, 120), st.sampled_from(SPELLINGS)), max_size=6),
)  # fmt: skip
def test_whatever_stands_in_the_fields_of_an_order_it_is_taken_or_refused(
    tape: TapeMarket,
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    algo: str,
    spoilt: list[tuple[int, str]],
) -> None:
    exchange = Exchange(tape, XnysCalendar(), None)
    state = State(tmp_path_factory.mktemp("state"), ACCOUNT)
    orders = OrderBook(
        ACCOUNT, exchange, Directory(lambda symbol: symbol == "AAPL", ("AAPL",)), Books(START), state, 1
    )
    order = Order(
        action="SELL", totalQuantity=7, orderType=kind, lmtPrice=190.0, auxPrice=1.0, algoStrategy=algo,
        algoParams=[TagValue("startTime", "")], trailStopPrice=150.0, lmtPriceOffset=0.5, tif="GTD",
        goodTillDate="20260114 10:00:00", goodAfterTime="20260113 09:30:00", ocaGroup="g",
    )  # fmt: skip
    fields = sent_by_ib_async(order, 178)
    for at, text in spoilt:
        fields[min(at, len(fields) - 1)] = text
    cursor = Cursor(fields)
    cursor.skip(1)
    try:
        request = read_place_order(cursor, 178)
    except WireError:
        return state.close()
    told = orders.place(1, msgspec.structs.replace(request, contract=SHARE), exchange.now)
    for _ in range(3):
        exchange.step()
        told += orders.on_beat(exchange.now)
    assert all(message(version) for _, message in told for version in (157, 178))
    saved = state.load()
    assert saved is not None
    assert [ticket for ticket in saved.tickets if not ticket.done] == orders._file.live()
    return state.close()


def test_orders_at_random_keep_every_promise(tape: TapeMarket) -> None:
    run_state_machine_as_test(
        lambda: OrdersAtRandom(tape),
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck), phases=(Phase.generate,), report_multiple_bugs=False,
        ),
    )  # fmt: skip
