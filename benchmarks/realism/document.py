"""The words of docs/practice-market.md, and the figures of the real bars."""

from __future__ import annotations

Spread = tuple[float, float, float]  # median, 10th and 90th percentile over symbols and windows
Pair = tuple[Spread | None, Spread | None]  # of 2018, of 2025-26

# Why a figure lies outside.
WHY = {
    "autocorrelation of r, 1 min": "on purpose: a real price bounces between bid and ask, which a past price would foretell",
    "autocorrelation of r, 5 min": "on purpose: it is the planted edge",
}
# Written by benchmarks.practice_market --data, from the files it names.
REAL: dict[str, Pair] = {
    "kurtosis of r, 1 min": ((7.48, 5.28, 17.288), (15.429, 9.751, 29.453)),
    "autocorrelation of abs r, 1 min": ((0.198, 0.158, 0.269), (0.306, 0.281, 0.338)),
    "autocorrelation of abs r, 5 min": ((0.164, 0.129, 0.23), (0.243, 0.197, 0.286)),
    "autocorrelation of abs r, 20 min": ((0.122, 0.089, 0.163), (0.169, 0.138, 0.232)),
    "autocorrelation of abs r, 60 min": ((0.084, 0.055, 0.129), (0.108, 0.078, 0.173)),
    "autocorrelation of r, 1 min": ((-0.037, -0.078, -0.005), (-0.055, -0.092, -0.015)),
    "abs r in the first half hour, over its mean": ((1.779, 1.578, 2.016), (2.492, 2.169, 2.631)),
    "abs r from 12:00 to 13:30, over its mean": ((0.823, 0.793, 0.848), (0.773, 0.75, 0.836)),
    "abs r in the last half hour, over its mean": ((1.047, 0.872, 1.17), (0.784, 0.704, 0.874)),
    "high - low over abs r, 1 min": ((1.729, 1.586, 1.864), (1.903, 1.769, 1.958)),
    "correlation with other symbols, 1 min": ((0.426, 0.329, 0.509), (0.299, 0.166, 0.512)),
    "correlation of volume and abs r, 1 min": ((0.245, 0.162, 0.397), (0.323, 0.26, 0.45)),
    "autocorrelation of volume, 1 min": ((0.37, 0.27, 0.586), (0.576, 0.384, 0.682)),
    "deviation of volume over its mean, 1 min": ((0.755, 0.624, 0.944), (0.778, 0.559, 1.06)),
    "distance of half hours from SPY's volume curve, % points": (
        (1.162, 0.775, 2.069),
        (1.308, 0.849, 1.723),
    ),
    "volume of the half hour from 09:30, %": ((13.244, 10.806, 17.152), (16.843, 15.34, 20.077)),
    "volume of the half hour from 10:00, %": ((7.915, 6.848, 9.656), (10.648, 8.775, 11.545)),
    "volume of the half hour from 10:30, %": ((7.048, 5.959, 8.048), (8.138, 7.191, 8.753)),
    "volume of the half hour from 11:00, %": ((6.488, 5.618, 7.236), (7.215, 6.304, 7.649)),
    "volume of the half hour from 11:30, %": ((5.834, 4.984, 6.829), (6.031, 5.392, 6.559)),
    "volume of the half hour from 12:00, %": ((5.268, 4.529, 5.965), (5.466, 4.967, 5.81)),
    "volume of the half hour from 12:30, %": ((4.685, 3.967, 5.281), (5.239, 4.801, 5.591)),
    "volume of the half hour from 13:00, %": ((4.647, 4.013, 5.284), (4.896, 4.455, 5.215)),
    "volume of the half hour from 13:30, %": ((4.702, 4.292, 5.335), (4.773, 4.266, 5.398)),
    "volume of the half hour from 14:00, %": ((5.582, 4.873, 6.326), (4.695, 4.034, 5.376)),
    "volume of the half hour from 14:30, %": ((5.889, 5.124, 6.703), (5.261, 4.596, 5.908)),
    "volume of the half hour from 15:00, %": ((7.483, 6.201, 8.577), (5.734, 5.218, 6.685)),
    "volume of the half hour from 15:30, %": ((19.398, 15.515, 27.765), (15.018, 11.935, 18.816)),
    "kurtosis of r, 5 min": ((5.836, 4.156, 9.699), (11.084, 6.929, 25.035)),
    "autocorrelation of r, 5 min": ((-0.013, -0.058, 0.033), (0.014, -0.044, 0.064)),
    "correlation with other symbols, 5 min": ((0.448, 0.334, 0.546), (0.208, 0.097, 0.352)),
    "kurtosis of r, 1 day": ((2.692, 2.222, 4.373), (3.786, 2.742, 8.969)),
    "autocorrelation of abs r, mean of 1 to 5 days": ((0.026, -0.061, 0.202), (0.001, -0.06, 0.091)),
    "autocorrelation of daily volatility, 1 day": ((0.492, 0.259, 0.682), (0.316, 0.097, 0.586)),
    "autocorrelation of daily volatility, 5 days": ((0.06, -0.197, 0.225), (0.095, -0.112, 0.28)),
    "deviation of daily log volatility": ((0.253, 0.191, 0.346), (0.285, 0.216, 0.362)),
    "deviation of daily log volume": ((0.276, 0.193, 0.419), (0.357, 0.251, 0.486)),
    "volatility, % a year": ((27.177, 21.221, 37.949), (27.772, 13.769, 53.449)),
    "variance overnight over variance in the day": ((0.245, 0.147, 0.608), (0.432, 0.205, 1.064)),
    "correlation with other symbols, 1 day": ((0.58, 0.431, 0.674), (0.192, 0.076, 0.341)),
    "spread, basis points": ((2.123, 1.129, 5.246), None),
}

TEXT = """# How real the synthetic market is

The practice gateway's synthetic market is drawn, not recorded. This page says how far it resembles real shares: the same
statistics of both, computed by the same code. Written by

```
python -m benchmarks.practice_market --write
```

which `--data DIRECTORY` lets compute the real columns again from bars of one's own, in files named and laid out as the
benchmark says. The bars themselves belong to their vendors and are not part of this project; the figures below are.

* Synthetic: {symbols} symbols over the {sessions} sessions before the first live one, {seeds} seeds, without and
  with the planted edge.
* Real, 2018: one-minute bars of 69 large US shares, 16 February to 6 April 2018 (Alpha Vantage), just after a
  volatility shock.
* Real, 2025-26: one-minute bars of 20 US shares and funds, 22 January to 20 February 2026; for five minutes and days,
  five-minute bars of 60, April 2025 to February 2026 (Interactive Brokers).
* Spreads are those quoted for ten US shares and funds on single days of 2008 to 2023, most of them in 2013 and 2014;
  the volume curve is SPY's on seven days of 2013 and 2023.

Each cell is the median and, in brackets, the range from the 10th to the 90th percentile over symbols and windows: about 20
sessions for minutes, 60 for days (34 in 2018). `r` is the log return of a bar within its session, of a day from close to
close. Half days are left out. **Within** means that both synthetic medians lie between the lowest and the highest of the
real ranges. That is no high bar: the two periods differ, and the market was tuned to these very figures.

| statistic | synthetic, edge 0 | synthetic, edge 1 | real, 2018 | real, 2025-26 | verdict |
|---|---|---|---|---|---|
{table}

What the table does not show, and the market does not have:

* **Sectors.** One factor moves all shares, so a share's correlation with any other follows from two betas alone. In 2018
  correlations also grew from minutes to days, because some shares lag others; with `--edge 0` no share may tell of another.
* **Shares that differ as real ones do.** The synthetic ranges are mostly narrower than the real ones: there is no sleepy
  utility, no leveraged fund, nothing thin enough to skip a minute, and no price below 40 USD at the start.
* **Falls that frighten.** Volatility does not rise more after losses than after gains, and no day is a crash.
* **Spreads that breathe.** A share's spread is the same fraction of its price all day; a real one is wider at the open
  and in wild hours.
* **Opening and closing prices of auctions** are those of the first and last minute; only their volume is drawn.

Realism of these figures says nothing about profits: returns at `--edge 0` are unpredictable, and the planted edge at
`--edge 1` exists in no real market.
"""
