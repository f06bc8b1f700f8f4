"""Bars of bid, ask and midpoint, made from the bars of trades that the quotes stand around."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from robo_trader.simulation.tape import Floats, standing_quote

QUOTES = ("BID", "ASK", "MIDPOINT", "BID_ASK")


def quote_bars(prices: Floats, spread: Callable[[float], float], what: str) -> Floats:
    """Return open, high, low, close of quotes, (n, 4) in USD, for bars of trades of that shape.

    Each traded price has the bid and ask of `standing_quote` around it, `spread` (USD) apart. A midpoint is the mean of
    the two. BID_ASK opens with the bar's mean bid and closes with its mean ask; between lie the highest ask and the
    lowest bid (TWS API, "Historical Bar whatToShow").
    """
    distinct, which = np.unique(prices, return_inverse=True)
    sides = np.array([standing_quote(price, spread(price)) for price in distinct.tolist()]).reshape(-1, 2)
    bid, ask = (sides[:, side][which].reshape(prices.shape) for side in (0, 1))
    if what == "BID_ASK":
        return np.stack([bid.mean(axis=1), ask.max(axis=1), bid.min(axis=1), ask.mean(axis=1)], axis=1)
    shown = bid if what == "BID" else ask if what == "ASK" else np.round((bid + ask) / 2, 4)
    return np.stack([shown[:, 0], shown.max(axis=1), shown.min(axis=1), shown[:, 3]], axis=1)


def quote_bar(
    prices: tuple[float, float, float, float], spread: Callable[[float], float], what: str
) -> tuple[float, float, float, float]:
    """Return one bar of quotes for one bar of trades.

    >>> quote_bar((100.0, 100.1, 99.9, 100.04), lambda _: 0.02, "MIDPOINT")
    (100.0, 100.1, 99.9, 100.04)
    >>> quote_bar((100.0, 100.1, 99.9, 100.04), lambda _: 0.02, "BID")
    (99.99, 100.09, 99.89, 100.03)
    """
    o, h, low, c = quote_bars(np.array([prices]), spread, what)[0].tolist()
    return o, h, low, c
