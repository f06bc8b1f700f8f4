"""The one step of all features; written by `python -m robo_trader.features.compose`, not by hand."""

# ruff: noqa
# fmt: off
from __future__ import annotations

import numpy as np

from robo_trader.features import cross_section, momentum, price, session, trend, volatility, volume
from robo_trader.features.cross_section import look
from robo_trader.features.kernels import Array, begin, cached, end, is_possible

FINGERPRINT = "ed2c2e4ceb08fdc36947bf5da8815691c15bcb9dad01424f4cf684928bb2d33a"
ARITHMETIC = "c998b4efdf39"
SIZE = 2607  # numbers in the state of one symbol

STEP_SIGNATURE = (
    "int64(float64[::1], float64, float64, float64, float64, float64, float64, float64[::1], float64[::1], float64[::1])"
)
SCAN_SIGNATURE = (
    "void(float64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[::1],"
    " float64[:, ::1], int64[::1], float64[:, ::1], float64[:, ::1])"
)

Adx = trend.Adx.step
Atr = volatility.Atr.step
AtrOfPrice = volatility.AtrOfPrice.step
BandWidth = volatility.BandWidth.step
Beta = cross_section.Beta.step
BollingerBand = volatility.BollingerBand.step
Breadth = cross_section.Breadth.step
Cci = momentum.Cci.step
CloseLocation = price.CloseLocation.step
Correlation = cross_section.Correlation.step
Directional = trend.Directional.step
Distance = trend.Distance.step
Ema = trend.Ema.step
HistoricalVolatility = volatility.HistoricalVolatility.step
InRanges = trend.InRanges.step
LastReturn = cross_section.LastReturn.step
Macd = trend.Macd.step
MacdHistogram = trend.MacdHistogram.step
MacdSignal = trend.MacdSignal.step
Mfi = volume.Mfi.step
Obv = volume.Obv.step
ObvChange = volume.ObvChange.step
OpenDistance = session.OpenDistance.step
RangeInRanges = volatility.RangeInRanges.step
Rank = cross_section.Rank.step
RateOfChange = momentum.RateOfChange.step
Residual = cross_section.Residual.step
ReturnDeviation = volatility.ReturnDeviation.step
ReturnInSigmas = momentum.ReturnInSigmas.step
Rsi = momentum.Rsi.step
SessionCosine = session.SessionCosine.step
SessionSine = session.SessionSine.step
Sma = trend.Sma.step
StandardDeviation = volatility.StandardDeviation.step
StochasticD = momentum.StochasticD.step
StochasticK = momentum.StochasticK.step
VolumeRate = volume.VolumeRate.step
VolumeSma = volume.VolumeSma.step
Vwap = session.Vwap.step
VwapDistance = session.VwapDistance.step
WilliamsR = momentum.WilliamsR.step
ZScore = volatility.ZScore.step

WARMUPS = np.array([
    1, 5, 10, 20, 50, 100, 200, 5, 10, 20, 50, 12, 26, 60, 100, 200, 26, 34, 34, 15, 15, 28, 14, 14,
    20, 50, 14, 14, 20, 50, 26, 34, 15, 14, 16, 14, 11, 20, 21, 21, 21, 31, 14, 20, 20, 20, 20, 21,
    21, 20, 20, 14, 14, 1, 15, 20, 20, 21, 1, 14, 14, 1, 1, 21, 21, 62, 62, 62, 62, 62, 62, 1, 22
])
SESSIONS = np.array([
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0
])
WARMEST, LONGEST = int(WARMUPS.max()), int(SESSIONS.max())


@cached
def step(
    s: Array,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    seconds: float,
    day: Array,
    context: Array,
    out: Array,
) -> int:
    """Take one bar into `s` and write its features to `out`; return the bars seen, 0 for an impossible bar.

    Prices in USD above zero, volume in shares, `seconds` the bar's close (UTC); `day` (`session.DAY`) is of the session,
    `context` (`cross_section`) of other symbols. `out` is NaN where a feature is still warming, untouched for an
    impossible bar.
    """
    if not is_possible(open_, high, low, close, volume):
        return 0
    now = begin(s, open_, high, low, close, volume, seconds, day[0], day[1])
    close_location = CloseLocation(now)
    sma_5 = Sma(s, now, 5)
    sma_10 = Sma(s, now, 10)
    sma_20 = Sma(s, now, 20)
    sma_50 = Sma(s, now, 50)
    sma_100 = Sma(s, now, 100)
    sma_200 = Sma(s, now, 200)
    ema_5 = Ema(s, 2064, now, 5)
    ema_10 = Ema(s, 2065, now, 10)
    ema_20 = Ema(s, 2066, now, 20)
    ema_50 = Ema(s, 2067, now, 50)
    ema_12 = Ema(s, 2068, now, 12)
    ema_26 = Ema(s, 2069, now, 26)
    ema_60 = Ema(s, 2070, now, 60)
    ema_100 = Ema(s, 2071, now, 100)
    ema_200 = Ema(s, 2072, now, 200)
    macd = Macd(ema_12, ema_26)
    macd_signal = MacdSignal(s, 2073, now, macd, 9, 26)
    macd_hist = MacdHistogram(macd, macd_signal)
    plus_di_14 = Directional(s, 2074, now, True, 14)
    minus_di_14 = Directional(s, 2076, now, False, 14)
    adx_14 = Adx(s, 2078, now, plus_di_14, minus_di_14, 14)
    atr_14 = Atr(s, 2083, now, 14)
    close_vs_sma_5 = Distance(now, sma_5, atr_14)
    close_vs_sma_10 = Distance(now, sma_10, atr_14)
    close_vs_sma_20 = Distance(now, sma_20, atr_14)
    close_vs_sma_50 = Distance(now, sma_50, atr_14)
    close_vs_ema_5 = Distance(now, ema_5, atr_14)
    close_vs_ema_10 = Distance(now, ema_10, atr_14)
    close_vs_ema_20 = Distance(now, ema_20, atr_14)
    close_vs_ema_50 = Distance(now, ema_50, atr_14)
    macd_atr = InRanges(macd, atr_14)
    macd_hist_atr = InRanges(macd_hist, atr_14)
    rsi_14 = Rsi(s, 2079, now, 14)
    stoch_k_14 = StochasticK(s, now, 14)
    stoch_d_3 = StochasticD(s, 2081, stoch_k_14)
    williams_r_14 = WilliamsR(stoch_k_14)
    roc_10 = RateOfChange(s, now, 10)
    cci_20 = Cci(s, now, 20)
    sigma_20 = ReturnDeviation(s, now, 20)
    ret_1 = ReturnInSigmas(s, now, sigma_20, 1, 1.0)
    ret_5 = ReturnInSigmas(s, now, sigma_20, 5, 2.23606797749979)
    ret_15 = ReturnInSigmas(s, now, sigma_20, 15, 3.872983346207417)
    ret_30 = ReturnInSigmas(s, now, sigma_20, 30, 5.477225575051661)
    std_20 = StandardDeviation(s, now, sma_20, 20)
    bb_upper_20 = BollingerBand(sma_20, std_20, 2.0)
    bb_middle_20 = BollingerBand(sma_20, std_20, 0.0)
    bb_lower_20 = BollingerBand(sma_20, std_20, -2.0)
    hist_vol_20 = HistoricalVolatility(s, sigma_20)
    zscore_20 = ZScore(now, sma_20, std_20)
    bb_width_20 = BandWidth(sma_20, std_20)
    atr_close_14 = AtrOfPrice(now, atr_14)
    range_atr = RangeInRanges(now, atr_14)
    obv = Obv(s, 2084, now)
    mfi_14 = Mfi(s, now, 14)
    volume_sma_20 = VolumeSma(s, now, 20)
    volume_rate_20 = VolumeRate(now, volume_sma_20)
    obv_change_20 = ObvChange(s, now, volume_sma_20)
    vwap = Vwap(s, 2085, now)
    vwap_distance = VwapDistance(now, vwap, atr_14)
    open_distance = OpenDistance(s, now, atr_14)
    session_sin = SessionSine(now)
    session_cos = SessionCosine(now)
    market_return_1 = LastReturn(context, sigma_20, 2)
    sector_return_1 = LastReturn(context, sigma_20, 5)
    market_beta_60 = Beta(s, 2087, now, context, 0)
    sector_beta_60 = Beta(s, 2347, now, context, 3)
    market_correlation_60 = Correlation(s, 2087, market_beta_60)
    market_residual_5 = Residual(s, 2087, market_beta_60, sigma_20, 5, 2.23606797749979)
    market_residual_20 = Residual(s, 2087, market_beta_60, sigma_20, 20, 4.47213595499958)
    sector_residual_20 = Residual(s, 2347, sector_beta_60, sigma_20, 20, 4.47213595499958)
    breadth = Breadth(context)
    relative_strength_20 = Rank(context)
    out[0] = close_location
    out[1] = sma_5
    out[2] = sma_10
    out[3] = sma_20
    out[4] = sma_50
    out[5] = sma_100
    out[6] = sma_200
    out[7] = ema_5
    out[8] = ema_10
    out[9] = ema_20
    out[10] = ema_50
    out[11] = ema_12
    out[12] = ema_26
    out[13] = ema_60
    out[14] = ema_100
    out[15] = ema_200
    out[16] = macd
    out[17] = macd_signal
    out[18] = macd_hist
    out[19] = plus_di_14
    out[20] = minus_di_14
    out[21] = adx_14
    out[22] = close_vs_sma_5
    out[23] = close_vs_sma_10
    out[24] = close_vs_sma_20
    out[25] = close_vs_sma_50
    out[26] = close_vs_ema_5
    out[27] = close_vs_ema_10
    out[28] = close_vs_ema_20
    out[29] = close_vs_ema_50
    out[30] = macd_atr
    out[31] = macd_hist_atr
    out[32] = rsi_14
    out[33] = stoch_k_14
    out[34] = stoch_d_3
    out[35] = williams_r_14
    out[36] = roc_10
    out[37] = cci_20
    out[38] = ret_1
    out[39] = ret_5
    out[40] = ret_15
    out[41] = ret_30
    out[42] = atr_14
    out[43] = std_20
    out[44] = bb_upper_20
    out[45] = bb_middle_20
    out[46] = bb_lower_20
    out[47] = sigma_20
    out[48] = hist_vol_20
    out[49] = zscore_20
    out[50] = bb_width_20
    out[51] = atr_close_14
    out[52] = range_atr
    out[53] = obv
    out[54] = mfi_14
    out[55] = volume_sma_20
    out[56] = volume_rate_20
    out[57] = obv_change_20
    out[58] = vwap
    out[59] = vwap_distance
    out[60] = open_distance
    out[61] = session_sin
    out[62] = session_cos
    out[63] = market_return_1
    out[64] = sector_return_1
    out[65] = market_beta_60
    out[66] = sector_beta_60
    out[67] = market_correlation_60
    out[68] = market_residual_5
    out[69] = market_residual_20
    out[70] = sector_residual_20
    out[71] = breadth
    out[72] = relative_strength_20
    end(s, now)
    if now.n < WARMEST or now.sessions < LONGEST:
        for i in range(out.shape[0]):
            if now.n < WARMUPS[i] or now.sessions < SESSIONS[i]:
                out[i] = np.nan
    return now.n


ADVANCE_SIGNATURE = (
    "int64(float64[::1], float64[:, ::1], int64, int64, int64, float64, float64, float64, float64, float64, float64,"
    " float64[::1], float64[::1], float64[::1])"
)


@cached
def advance(
    s: Array,
    panel: Array,
    i: int,
    market: int,
    sector: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    seconds: float,
    day: Array,
    context: Array,
    out: Array,
) -> int:
    """Take one bar of the symbol in row `i` of the panel: `cross_section.look`, then `step`."""
    if not is_possible(open_, high, low, close, volume):
        return 0
    look(panel, i, market, sector, seconds, close, (high + low + close) / 3.0, volume, day[0], context)
    return step(s, open_, high, low, close, volume, seconds, day, context, out)


@cached
def scan(
    s: Array,
    opens: Array,
    highs: Array,
    lows: Array,
    closes: Array,
    volumes: Array,
    seconds: Array,
    days: Array,
    day_of: Array,
    context: Array,
    out: Array,
) -> None:
    """Step over (n,) arrays of bars into the rows of `out`, (n, n_features); a bar with a NaN time is passed over."""
    for i in range(out.shape[0]):
        n = 0
        if not np.isnan(seconds[i]):
            n = step(
                s, opens[i], highs[i], lows[i], closes[i], volumes[i], seconds[i], days[day_of[i]], context[i], out[i]
            )
        if n == 0:
            out[i] = np.nan
