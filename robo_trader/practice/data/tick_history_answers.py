"""Past ticks on request: the very trades and quotes that were told one by one when they happened."""

from __future__ import annotations

from robo_trader.practice.data.history_answers import not_permitted, refuse
from robo_trader.practice.data.history_request import TicksRequest, read_ticks_request
from robo_trader.practice.data.lines import Supply
from robo_trader.practice.data.past_ticks import MESSAGES, MOST_TICKS, PastTicks, encode
from robo_trader.practice.data.periods import BadQuestion, parse_end
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.wire import Cursor


class TickHistoryAnswers:
    """Answers reqHistoricalTicks (96) with historicalTicks (96), -BidAsk (97) or -Last (98).

    Ticks are the first `count` from a start, or the last `count` before an end, and all those of the same second as the
    last of them. They are looked for in two sessions. Where live data is not paid for there are none.
    """

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self.answers: dict[int, Answer] = {96: self._ticks}

    def drop(self, client: Client) -> None:
        """Forget a client that has gone: nothing here is kept for one."""

    def _ticks(self, client: Client, cursor: Cursor) -> None:
        asked = read_ticks_request(cursor)
        symbol = self._supply.directory.settle(client, asked.request, asked.contract)
        if symbol is None:
            return None
        if not self._supply.is_live:
            text = f"Failed to request historical ticks:{not_permitted(symbol)}"
            return client.error(asked.request, 10187, text)
        try:
            client.send(self._answer(asked, symbol))
        except BadQuestion as error:
            refuse(client, asked.request, error)

    def _answer(self, asked: TicksRequest, symbol: str) -> bytes:
        if asked.what not in MESSAGES:
            raise BadQuestion("What to show field is missing or incorrect.")
        if not 1 <= asked.count <= MOST_TICKS:
            raise BadQuestion(f"The number of ticks must be 1 to {MOST_TICKS}, not {asked.count}")
        if not (asked.start or asked.end):
            raise BadQuestion("Either the start or the end of the ticks must be given")
        exchange = self._supply.exchange
        now = exchange.now
        end = parse_end(asked.end, now)
        past = PastTicks(exchange, symbol, asked.what, asked.without_sizes)
        rows = (
            past.ahead(parse_end(asked.start, now), end, asked.count)
            if asked.start
            else past.latest(end, asked.count)
        )
        return encode(asked.what, asked.request, rows)
