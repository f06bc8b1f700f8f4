"""The one step of all features; written by `python -m robo_trader.features.compose`, not by hand."""

# ruff: noqa
# fmt: off
from __future__ import annotations

import numpy as np

from robo_trader.features import bands, cross_section, distribution, momentum, price, seasonal_volume, session, trend, volatility, volume
from robo_trader.features.cross_section import look
from robo_trader.features.kernels import Array, begin, cached, end, is_possible

FINGERPRINT = "73056dd9bc86afc301e9b8c79424140700c2d9e6b3f982d0b1c00101cb2e5a44"
ARITHMETIC = "2497d4bee133"
SIZE = 5463  # numbers in the state of one symbol

STEP_SIGNATURE = (
    "int64(float64[::1], float64, float64, float64, float64, float64, float64, float64[::1], float64[::1], float64[::1])"
)
SCAN_SIGNATURE = (
    "void(float64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[::1],"
    " float64[:, ::1], int64[::1], float64[:, ::1], float64[:, ::1])"
)

Adx = trend.Adx.step
Amihud = volume.Amihud.step
AmihudRatio = volume.AmihudRatio.step
Atr = volatility.Atr.step
AtrOfPrice = volatility.AtrOfPrice.step
Autocorrelation = distribution.Autocorrelation.step
BandWidth = bands.BandWidth.step
Beta = cross_section.Beta.step
BollingerBand = bands.BollingerBand.step
Breadth = cross_section.Breadth.step
Cci = momentum.Cci.step
ChaikinMoneyFlow = volume.ChaikinMoneyFlow.step
CloseLocation = price.CloseLocation.step
Correlation = cross_section.Correlation.step
Directional = trend.Directional.step
Distance = trend.Distance.step
DollarVolume = seasonal_volume.DollarVolume.step
Ema = trend.Ema.step
GarmanKlass = volatility.GarmanKlass.step
HistoricalVolatility = volatility.HistoricalVolatility.step
InRanges = trend.InRanges.step
JumpShare = distribution.JumpShare.step
KeltnerBand = bands.KeltnerBand.step
Kurtosis = distribution.Kurtosis.step
LastReturn = cross_section.LastReturn.step
LogAtrOfPrice = volatility.LogAtrOfPrice.step
LogBody = volatility.LogBody.step
LogRange = volatility.LogRange.step
Macd = trend.Macd.step
MacdHistogram = trend.MacdHistogram.step
MacdSignal = trend.MacdSignal.step
MeanRange = bands.MeanRange.step
Mfi = volume.Mfi.step
Obv = volume.Obv.step
ObvChange = volume.ObvChange.step
ObvSlope = volume.ObvSlope.step
OpenDistance = session.OpenDistance.step
Parkinson = volatility.Parkinson.step
PercentB = bands.PercentB.step
RangeInRanges = volatility.RangeInRanges.step
Rank = cross_section.Rank.step
RateOfChange = momentum.RateOfChange.step
RealisedRatio = volatility.RealisedRatio.step
RealisedVol = volatility.RealisedVol.step
Residual = cross_section.Residual.step
ReturnDeviation = volatility.ReturnDeviation.step
ReturnInSigmas = momentum.ReturnInSigmas.step
Rsi = momentum.Rsi.step
SessionCosine = session.SessionCosine.step
SessionSine = session.SessionSine.step
SinceSqueeze = bands.SinceSqueeze.step
Skewness = distribution.Skewness.step
Sma = trend.Sma.step
Squeeze = bands.Squeeze.step
StandardDeviation = bands.StandardDeviation.step
StochasticD = momentum.StochasticD.step
StochasticK = momentum.StochasticK.step
TypicalEma = bands.TypicalEma.step
TypicalSma = bands.TypicalSma.step
VarianceRatio = distribution.VarianceRatio.step
VolOfVol = volatility.VolOfVol.step
VolumeOfDay = seasonal_volume.VolumeOfDay.step
VolumeRate = volume.VolumeRate.step
VolumeSma = volume.VolumeSma.step
Vwap = session.Vwap.step
VwapDistance = session.VwapDistance.step
WidthPercentile = bands.WidthPercentile.step
WilliamsR = momentum.WilliamsR.step
YangZhang = volatility.YangZhang.step
ZScore = bands.ZScore.step

WARMUPS = np.array([
    1, 5, 10, 20, 50, 100, 200, 5, 10, 20, 50, 12, 26, 60, 100, 200, 26, 34, 34, 15, 15, 28, 14, 14,
    20, 50, 14, 14, 20, 50, 26, 34, 15, 14, 16, 14, 11, 20, 21, 21, 21, 31, 14, 21, 21, 14, 14, 14,
    21, 61, 121, 61, 1, 1, 20, 20, 21, 40, 20, 20, 20, 20, 20, 20, 20, 272, 20, 20, 20, 20, 20, 20,
    20, 20, 20, 61, 61, 121, 121, 21, 1, 1, 15, 20, 20, 21, 20, 20, 21, 121, 1, 1, 1, 14, 14, 1, 1,
    21, 21, 62, 62, 62, 62, 62, 62, 1, 22
])
SESSIONS = np.array([
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 20, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
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
    `context` (`cross_section`) of other symbols. `out` is NaN where a feature is still warming, untouched for an impossible bar.
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
    hist_vol_20 = HistoricalVolatility(s, sigma_20)
    atr_close_14 = AtrOfPrice(now, atr_14)
    log_atr_close_14 = LogAtrOfPrice(atr_close_14)
    range_atr = RangeInRanges(now, atr_14)
    realised_vol_20 = RealisedVol(s, 2084, now, 20, 0.05)
    realised_vol_60 = RealisedVol(s, 2107, now, 60, 0.016666666666666666)
    realised_vol_120 = RealisedVol(s, 2170, now, 120, 0.008333333333333333)
    realised_vol_ratio_5_60 = RealisedRatio(s, now, 2107, 5, 12.0)
    log_range = LogRange(now)
    log_body = LogBody(now)
    parkinson_20 = Parkinson(s, 2293, now, log_range, 20, 0.01803368801111204)
    garman_klass_20 = GarmanKlass(s, 2315, now, log_range, log_body, 20, 0.05, 0.3862943611198906)
    yang_zhang_20 = YangZhang(s, 2337, now, log_range, log_body, 20, 0.13904433921653034, 0.04304778303917348, 0.05, 0.05263157894736842)
    vol_of_vol_20 = VolOfVol(s, 2381, now, realised_vol_20, 20)
    std_20 = StandardDeviation(s, now, sma_20, 20)
    bb_upper_20 = BollingerBand(sma_20, std_20, 2.0)
    bb_middle_20 = BollingerBand(sma_20, std_20, 0.0)
    bb_lower_20 = BollingerBand(sma_20, std_20, -2.0)
    zscore_20 = ZScore(now, sma_20, std_20)
    percent_b_20 = PercentB(zscore_20)
    bb_width_20 = BandWidth(sma_20, std_20)
    width_percentile_252 = WidthPercentile(s, 2400, now, bb_width_20, 252, 0.003968253968253968)
    typical_sma_20 = TypicalSma(s, now, 20)
    typical_ema_20 = TypicalEma(s, 2652, now, 20)
    true_range_sma_20 = MeanRange(s, now, 20)
    keltner_sma_upper_20 = KeltnerBand(typical_sma_20, true_range_sma_20, 1.5)
    keltner_sma_lower_20 = KeltnerBand(typical_sma_20, true_range_sma_20, -1.5)
    keltner_ema_upper_20 = KeltnerBand(typical_ema_20, true_range_sma_20, 1.5)
    keltner_ema_lower_20 = KeltnerBand(typical_ema_20, true_range_sma_20, -1.5)
    squeeze_20 = Squeeze(bb_upper_20, bb_lower_20, keltner_ema_upper_20, keltner_ema_lower_20)
    since_squeeze_20 = SinceSqueeze(s, 2653, now, squeeze_20, 60)
    skew_60 = Skewness(s, 2654, now, 2107, 60, 0.016666666666666666, 2, 64)
    kurt_60 = Kurtosis(s, 2654)
    variance_ratio_2 = VarianceRatio(s, 2780, now, 2170, 2, 120, 119, 0.5084745762711864)
    variance_ratio_8 = VarianceRatio(s, 2901, now, 2170, 8, 120, 113, 0.14103982300884957)
    autocorrelation_20 = Autocorrelation(s, 3016, now, 2084, 20, 19)
    jump_share_day = JumpShare(s, 3037, now, log_body)
    obv = Obv(s, 3042, now)
    mfi_14 = Mfi(s, now, 14)
    volume_sma_20 = VolumeSma(s, now, 20)
    volume_rate_20 = VolumeRate(now, volume_sma_20)
    obv_change_20 = ObvChange(s, now, volume_sma_20)
    obv_slope_20 = ObvSlope(s, now, volume_sma_20)
    cmf_20 = ChaikinMoneyFlow(s, 3043, now, close_location, volume_sma_20)
    amihud_20 = Amihud(s, 3065, now, 20, 25)
    amihud_ratio_20_120 = AmihudRatio(s, 3112, now, 3065, 120, 122)
    volume_of_day_20 = VolumeOfDay(s, 3356, now)
    dollar_volume_z_20 = DollarVolume(s, 4920, now)
    vwap = Vwap(s, 4943, now)
    vwap_distance = VwapDistance(now, vwap, atr_14)
    open_distance = OpenDistance(s, now, atr_14)
    session_sin = SessionSine(now)
    session_cos = SessionCosine(now)
    market_return_1 = LastReturn(context, sigma_20, 1)
    sector_return_1 = LastReturn(context, sigma_20, 3)
    market_beta_60 = Beta(s, 4945, now, context, 0)
    sector_beta_60 = Beta(s, 5204, now, context, 2)
    market_correlation_60 = Correlation(s, 4945, market_beta_60)
    market_residual_5 = Residual(s, 4945, market_beta_60, sigma_20, 5, 2.23606797749979)
    market_residual_20 = Residual(s, 4945, market_beta_60, sigma_20, 20, 4.47213595499958)
    sector_residual_20 = Residual(s, 5204, sector_beta_60, sigma_20, 20, 4.47213595499958)
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
    out[43] = sigma_20
    out[44] = hist_vol_20
    out[45] = atr_close_14
    out[46] = log_atr_close_14
    out[47] = range_atr
    out[48] = realised_vol_20
    out[49] = realised_vol_60
    out[50] = realised_vol_120
    out[51] = realised_vol_ratio_5_60
    out[52] = log_range
    out[53] = log_body
    out[54] = parkinson_20
    out[55] = garman_klass_20
    out[56] = yang_zhang_20
    out[57] = vol_of_vol_20
    out[58] = std_20
    out[59] = bb_upper_20
    out[60] = bb_middle_20
    out[61] = bb_lower_20
    out[62] = zscore_20
    out[63] = percent_b_20
    out[64] = bb_width_20
    out[65] = width_percentile_252
    out[66] = typical_sma_20
    out[67] = typical_ema_20
    out[68] = true_range_sma_20
    out[69] = keltner_sma_upper_20
    out[70] = keltner_sma_lower_20
    out[71] = keltner_ema_upper_20
    out[72] = keltner_ema_lower_20
    out[73] = squeeze_20
    out[74] = since_squeeze_20
    out[75] = skew_60
    out[76] = kurt_60
    out[77] = variance_ratio_2
    out[78] = variance_ratio_8
    out[79] = autocorrelation_20
    out[80] = jump_share_day
    out[81] = obv
    out[82] = mfi_14
    out[83] = volume_sma_20
    out[84] = volume_rate_20
    out[85] = obv_change_20
    out[86] = obv_slope_20
    out[87] = cmf_20
    out[88] = amihud_20
    out[89] = amihud_ratio_20_120
    out[90] = volume_of_day_20
    out[91] = dollar_volume_z_20
    out[92] = vwap
    out[93] = vwap_distance
    out[94] = open_distance
    out[95] = session_sin
    out[96] = session_cos
    out[97] = market_return_1
    out[98] = sector_return_1
    out[99] = market_beta_60
    out[100] = sector_beta_60
    out[101] = market_correlation_60
    out[102] = market_residual_5
    out[103] = market_residual_20
    out[104] = sector_residual_20
    out[105] = breadth
    out[106] = relative_strength_20
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
