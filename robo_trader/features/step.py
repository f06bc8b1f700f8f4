"""The one step of all features; written by `python -m robo_trader.features.compose`, not by hand."""

# ruff: noqa
# fmt: off
from __future__ import annotations

import numpy as np

from robo_trader.features import bands, cross_section, distribution, market_depth, microstructure, momentum, price, seasonal_volume, session, timeframes, trend, volatility, volume
from robo_trader.features.base import Ints
from robo_trader.features.cross_section import look
from robo_trader.features.kernels import Array, begin, cached, end, is_possible, kernel
from robo_trader.features.microstructure import sample

FINGERPRINT = "d75403d3dc977e5c4a38167e6406e05760c46d55e2fe3c267b06228059f347c7"
ARITHMETIC = "9c89066f3369"
SIZE = 6787  # numbers in the state of one symbol

RUN_SIGNATURE = (
    "int64(float64[::1], float64[::1], float64[:, ::1], int64, int64, int64, float64[:, ::1], float64[:, ::1],"
    " int64[::1], float64[:, ::1], float64[:, ::1])"
)

Adx = trend.Adx.step
Amihud = volume.Amihud.step
AmihudRatio = volume.AmihudRatio.step
Aroon = trend.Aroon.step
Atr = volatility.Atr.step
AtrOfPrice = volatility.AtrOfPrice.step
Autocorrelation = distribution.Autocorrelation.step
BandWidth = bands.BandWidth.step
Beta = cross_section.Beta.step
BollingerBand = bands.BollingerBand.step
Breadth = cross_section.Breadth.step
Breakout = price.Breakout.step
CalendarFlag = session.CalendarFlag.step
Cci = momentum.Cci.step
CentredRsi = momentum.CentredRsi.step
ChaikinMoneyFlow = volume.ChaikinMoneyFlow.step
CloseLocation = price.CloseLocation.step
Correlation = cross_section.Correlation.step
DayDeviation = session.DayDeviation.step
DayRange = session.DayRange.step
DepthFlow = market_depth.DepthFlow.step
DepthImbalance = market_depth.DepthImbalance.step
DepthMicroPrice = market_depth.DepthMicroPrice.step
DepthPressure = market_depth.DepthPressure.step
Directional = trend.Directional.step
DirectionalSpread = trend.DirectionalSpread.step
Distance = trend.Distance.step
DollarVolume = seasonal_volume.DollarVolume.step
DonchianLower = price.DonchianLower.step
DonchianPosition = price.DonchianPosition.step
DonchianUpper = price.DonchianUpper.step
Drawdown = price.Drawdown.step
Ema = trend.Ema.step
EmaSpread = trend.EmaSpread.step
FrameReturn = timeframes.FrameReturn.step
FrameRsi = timeframes.FrameRsi.step
FrameTrend = timeframes.FrameTrend.step
FrameVolatility = timeframes.FrameVolatility.step
Gap = price.Gap.step
GapInRanges = price.GapInRanges.step
GarmanKlass = volatility.GarmanKlass.step
HalfDay = session.HalfDay.step
HistoricalVolatility = volatility.HistoricalVolatility.step
InRanges = trend.InRanges.step
JumpShare = distribution.JumpShare.step
KeltnerBand = bands.KeltnerBand.step
Kurtosis = distribution.Kurtosis.step
LastReturn = cross_section.LastReturn.step
LogAtrOfPrice = volatility.LogAtrOfPrice.step
LogBody = volatility.LogBody.step
LogRange = volatility.LogRange.step
LogReturn = price.LogReturn.step
LongUpper = price.LongUpper.step
Macd = trend.Macd.step
MacdHistogram = trend.MacdHistogram.step
MacdSignal = trend.MacdSignal.step
MeanRange = bands.MeanRange.step
MeanReversion = momentum.MeanReversion.step
Mfi = volume.Mfi.step
MicroPrice = microstructure.MicroPrice.step
MinutesToClose = session.MinutesToClose.step
Obv = volume.Obv.step
ObvChange = volume.ObvChange.step
ObvSlope = volume.ObvSlope.step
OpenDistance = session.OpenDistance.step
OrderFlow = microstructure.OrderFlow.step
Parkinson = volatility.Parkinson.step
PercentB = bands.PercentB.step
QueueImbalance = microstructure.QueueImbalance.step
QuotedSpread = microstructure.QuotedSpread.step
RangeInRanges = volatility.RangeInRanges.step
Rank = cross_section.Rank.step
RateOfChange = momentum.RateOfChange.step
RealisedRatio = volatility.RealisedRatio.step
RealisedSpread = microstructure.RealisedSpread.step
RealisedVol = volatility.RealisedVol.step
Residual = cross_section.Residual.step
ReturnDeviation = volatility.ReturnDeviation.step
ReturnInSigmas = momentum.ReturnInSigmas.step
ReturnSince = session.ReturnSince.step
RoundTrip = market_depth.RoundTrip.step
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
Swing = price.Swing.step
SwingDistance = price.SwingDistance.step
TradeSign = microstructure.TradeSign.step
TrendStrength = trend.TrendStrength.step
TypicalEma = bands.TypicalEma.step
TypicalSma = bands.TypicalSma.step
VarianceRatio = distribution.VarianceRatio.step
VolOfVol = volatility.VolOfVol.step
VolumeOfDay = seasonal_volume.VolumeOfDay.step
VolumeRate = volume.VolumeRate.step
VolumeSma = volume.VolumeSma.step
Vwap = session.Vwap.step
VwapDistance = session.VwapDistance.step
Weekday = session.Weekday.step
WidthPercentile = bands.WidthPercentile.step
WilliamsR = momentum.WilliamsR.step
YangZhang = volatility.YangZhang.step
ZScore = bands.ZScore.step

WARMUPS = np.array([
    1, 22, 22, 22, 22, 22, 61, 20, 60, 20, 60, 20, 20, 21, 5, 5, 14, 14, 1, 1, 5, 10, 20, 50, 100,
    200, 5, 10, 20, 50, 12, 26, 60, 100, 200, 26, 34, 34, 15, 15, 28, 14, 14, 20, 50, 14, 14, 20,
    50, 26, 34, 20, 60, 200, 15, 26, 20, 15, 3, 14, 16, 14, 11, 20, 21, 21, 21, 21, 31, 61, 20, 14,
    21, 21, 14, 14, 14, 21, 61, 121, 61, 1, 1, 20, 20, 21, 40, 20, 20, 20, 20, 20, 20, 20, 272, 20,
    20, 20, 20, 20, 20, 20, 20, 20, 61, 61, 121, 121, 21, 1, 1, 15, 20, 20, 21, 20, 20, 21, 121, 1,
    1, 1, 14, 14, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 20, 15, 21, 80, 20, 15, 21, 80, 20, 15, 11,
    30, 21, 21, 62, 62, 62, 62, 62, 62, 1, 22, 1, 20, 1, 1, 1, 1, 1, 1, 1, 1, 1
])
SESSIONS = np.array([
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 20, 0, 0, 0, 0, 0, 15,
    15, 15, 15, 0, 0, 0, 0, 0, 0, 2, 2, 2, 3, 3, 3, 3, 8, 20, 15, 11, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
])
LATE = np.flatnonzero(SESSIONS)
WARMEST, LONGEST = int(WARMUPS.max()), int(SESSIONS.max())


@kernel
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
    """Take one bar into `s` and write its features to `out`; return the bars seen.

    Prices in USD above zero, volume in shares, `seconds` the bar's close (UTC); `day` (`session.DAY`) is of the session,
    `context` of other symbols (`cross_section`) and of the book (`microstructure`). `out` is NaN where a feature is warming.
    """
    now = begin(s, open_, high, low, close, volume, seconds, day[0], day[1])
    close_location = CloseLocation(now)
    sigma_20 = ReturnDeviation(s, now, 20)
    log_ret_1 = LogReturn(s, 2064, now, sigma_20, 1, 8.0)
    log_ret_2 = LogReturn(s, 2065, now, sigma_20, 2, 11.313708498984761)
    log_ret_5 = LogReturn(s, 2066, now, sigma_20, 5, 17.88854381999832)
    log_ret_10 = LogReturn(s, 2067, now, sigma_20, 10, 25.298221281347036)
    log_ret_20 = LogReturn(s, 2068, now, sigma_20, 20, 35.77708763999664)
    log_ret_60 = LogReturn(s, 2069, now, sigma_20, 60, 61.96773353931867)
    donchian_upper_20 = DonchianUpper(s, now, 20)
    drawdown_20 = Drawdown(now, donchian_upper_20)
    donchian_upper_60 = LongUpper(s, 2070, now, donchian_upper_20)
    drawdown_60 = Drawdown(now, donchian_upper_60)
    donchian_lower_20 = DonchianLower(s, now, 20)
    donchian_20 = DonchianPosition(now, donchian_upper_20, donchian_lower_20)
    breakout_20 = Breakout(s, 2134, now, donchian_upper_20, donchian_lower_20)
    resistance = Swing(s, 2136, now, 1168, 1.0)
    support = Swing(s, 2138, now, 1296, -1.0)
    atr_14 = Atr(s, 2166, now, 14)
    resistance_atr = SwingDistance(now, resistance, atr_14, 1.0)
    support_atr = SwingDistance(now, support, atr_14, -1.0)
    gap = Gap(s, 2140, now)
    day_atr_14 = DayRange(s, 5028, now, 14)
    gap_atr = GapInRanges(s, day_atr_14)
    sma_5 = Sma(s, now, 0.0, 5, 0)
    sma_10 = Sma(s, now, sma_5, 10, 5)
    sma_20 = Sma(s, now, sma_10, 20, 10)
    sma_50 = Sma(s, now, sma_20, 50, 20)
    sma_100 = Sma(s, now, sma_50, 100, 50)
    sma_200 = Sma(s, now, sma_100, 200, 100)
    ema_5 = Ema(s, 2141, now, 5)
    ema_10 = Ema(s, 2142, now, 10)
    ema_20 = Ema(s, 2143, now, 20)
    ema_50 = Ema(s, 2144, now, 50)
    ema_12 = Ema(s, 2145, now, 12)
    ema_26 = Ema(s, 2146, now, 26)
    ema_60 = Ema(s, 2147, now, 60)
    ema_100 = Ema(s, 2148, now, 100)
    ema_200 = Ema(s, 2149, now, 200)
    macd = Macd(ema_12, ema_26)
    macd_signal = MacdSignal(s, 2150, now, macd, 9, 26)
    macd_hist = MacdHistogram(macd, macd_signal)
    plus_di_14 = Directional(s, 2151, now, True, 14)
    minus_di_14 = Directional(s, 2153, now, False, 14)
    adx_14 = Adx(s, 2155, now, plus_di_14, minus_di_14, 14)
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
    ema_spread_5_20 = EmaSpread(ema_5, ema_20, atr_14)
    ema_spread_20_60 = EmaSpread(ema_20, ema_60, atr_14)
    ema_spread_60_200 = EmaSpread(ema_60, ema_200, atr_14)
    di_spread_14 = DirectionalSpread(plus_di_14, minus_di_14)
    aroon_25 = Aroon(s, 2156, now, 25)
    std_20 = StandardDeviation(s, now, sma_20, 20)
    trend_strength_20 = TrendStrength(s, now, std_20, 20, 115.32562594670796)
    rsi_14 = Rsi(s, 2160, now, 14)
    rsi_2_centred = CentredRsi(s, 2162, now, 2)
    stoch_k_14 = StochasticK(s, now, 14)
    stoch_d_3 = StochasticD(s, 2164, stoch_k_14)
    williams_r_14 = WilliamsR(stoch_k_14)
    roc_10 = RateOfChange(s, now, 10)
    cci_20 = Cci(s, now, 20)
    ret_1 = ReturnInSigmas(s, now, sigma_20, 1, 1.0)
    ret_5 = ReturnInSigmas(s, now, sigma_20, 5, 2.23606797749979)
    ret_15 = ReturnInSigmas(s, now, sigma_20, 15, 3.872983346207417)
    ret_20 = ReturnInSigmas(s, now, sigma_20, 20, 4.47213595499958)
    ret_30 = ReturnInSigmas(s, now, sigma_20, 30, 5.477225575051661)
    ret_60 = ReturnInSigmas(s, now, sigma_20, 60, 7.745966692414834)
    zscore_20 = ZScore(now, sma_20, std_20)
    mean_reversion_20 = MeanReversion(zscore_20, rsi_14)
    hist_vol_20 = HistoricalVolatility(s, sigma_20)
    atr_close_14 = AtrOfPrice(now, atr_14)
    log_atr_close_14 = LogAtrOfPrice(atr_close_14)
    range_atr = RangeInRanges(now, atr_14)
    realised_vol_20 = RealisedVol(s, 2167, now, 20, 0.05)
    realised_vol_60 = RealisedVol(s, 2190, now, 60, 0.016666666666666666)
    realised_vol_120 = RealisedVol(s, 2253, now, 120, 0.008333333333333333)
    realised_vol_ratio_5_60 = RealisedRatio(s, now, 2190, 5, 12.0)
    log_range = LogRange(now)
    log_body = LogBody(now)
    parkinson_20 = Parkinson(s, 2376, now, log_range, 20, 0.01803368801111204)
    garman_klass_20 = GarmanKlass(s, 2398, now, log_range, log_body, 20, 0.05, 0.3862943611198906)
    yang_zhang_20 = YangZhang(s, 2420, now, log_range, log_body, 20, 0.13904433921653034, 0.04304778303917348, 0.05, 0.05263157894736842)
    vol_of_vol_20 = VolOfVol(s, 2464, now, realised_vol_20, 20)
    bb_upper_20 = BollingerBand(sma_20, std_20, 2.0)
    bb_middle_20 = BollingerBand(sma_20, std_20, 0.0)
    bb_lower_20 = BollingerBand(sma_20, std_20, -2.0)
    percent_b_20 = PercentB(zscore_20)
    bb_width_20 = BandWidth(sma_20, std_20)
    width_percentile_252 = WidthPercentile(s, 2483, now, bb_width_20, 252, 0.003968253968253968)
    typical_sma_20 = TypicalSma(s, now, 20)
    typical_ema_20 = TypicalEma(s, 2735, now, 20)
    true_range_sma_20 = MeanRange(s, now, 20)
    keltner_sma_upper_20 = KeltnerBand(typical_sma_20, true_range_sma_20, 1.5)
    keltner_sma_lower_20 = KeltnerBand(typical_sma_20, true_range_sma_20, -1.5)
    keltner_ema_upper_20 = KeltnerBand(typical_ema_20, true_range_sma_20, 1.5)
    keltner_ema_lower_20 = KeltnerBand(typical_ema_20, true_range_sma_20, -1.5)
    squeeze_20 = Squeeze(bb_upper_20, bb_lower_20, keltner_ema_upper_20, keltner_ema_lower_20)
    since_squeeze_20 = SinceSqueeze(s, 2736, now, squeeze_20, 60)
    skew_60 = Skewness(s, 2737, now, 2190, 60, 0.016666666666666666, 2, 64)
    kurt_60 = Kurtosis(s, 2737)
    variance_ratio_2 = VarianceRatio(s, 2863, now, 2253, 2, 120, 119, 0.5084745762711864)
    variance_ratio_8 = VarianceRatio(s, 2984, now, 2253, 8, 120, 113, 0.14103982300884957)
    autocorrelation_20 = Autocorrelation(s, 3099, now, 2167, 20, 19)
    jump_share_day = JumpShare(s, 3120, now, log_body)
    obv = Obv(s, 3125, now)
    mfi_14 = Mfi(s, now, 14)
    volume_sma_20 = VolumeSma(s, now, 20)
    volume_rate_20 = VolumeRate(now, volume_sma_20)
    obv_change_20 = ObvChange(s, now, volume_sma_20)
    obv_slope_20 = ObvSlope(s, now, volume_sma_20)
    cmf_20 = ChaikinMoneyFlow(s, 3126, now, close_location, volume_sma_20)
    amihud_20 = Amihud(s, 3148, now, 20, 25)
    amihud_ratio_20_120 = AmihudRatio(s, 3195, now, 3148, 120, 122)
    volume_of_day_20 = VolumeOfDay(s, 3439, now)
    dollar_volume_z_20 = DollarVolume(s, 5003, now)
    vwap = Vwap(s, 5026, now)
    vwap_distance = VwapDistance(now, vwap, atr_14)
    open_distance = OpenDistance(s, now, atr_14)
    session_sin = SessionSine(now)
    session_cos = SessionCosine(now)
    day_sigma = DayDeviation(s, 5064, now, 14)
    return_since_open = ReturnSince(s, 5098, now, day_sigma, 3)
    return_since_close = ReturnSince(s, 5099, now, day_sigma, 9)
    minutes_to_close = MinutesToClose(now)
    half_day = HalfDay(now)
    weekday = Weekday(day, 2)
    month_first = CalendarFlag(day, 3)
    month_last = CalendarFlag(day, 4)
    options_expiry = CalendarFlag(day, 5)
    trend_5m = FrameTrend(s, 5100, now, 5.0, 20, 60)
    rsi_14_5m = FrameRsi(s, 5100)
    return_5m = FrameReturn(s, 5100)
    rv_rank_5m = FrameVolatility(s, 5100)
    trend_30m = FrameTrend(s, 5365, now, 30.0, 20, 60)
    rsi_14_30m = FrameRsi(s, 5365)
    return_30m = FrameReturn(s, 5365)
    rv_rank_30m = FrameVolatility(s, 5365)
    trend_1d = FrameTrend(s, 5630, now, 1440.0, 10, 20)
    rsi_14_1d = FrameRsi(s, 5630)
    return_1d = FrameReturn(s, 5630)
    rv_rank_1d = FrameVolatility(s, 5630)
    market_return_1 = LastReturn(context, sigma_20, 2)
    sector_return_1 = LastReturn(context, sigma_20, 5)
    market_beta_60 = Beta(s, 5895, now, context, 0)
    sector_beta_60 = Beta(s, 6340, now, context, 3)
    market_correlation_60 = Correlation(s, 5895, market_beta_60)
    market_residual_5 = Residual(s, 5895, market_beta_60, sigma_20, 5, 2.23606797749979)
    market_residual_20 = Residual(s, 5895, market_beta_60, sigma_20, 20, 4.47213595499958)
    sector_residual_20 = Residual(s, 6340, sector_beta_60, sigma_20, 20, 4.47213595499958)
    breadth = Breadth(context)
    relative_strength_20 = Rank(context)
    spread_log = QuotedSpread(context)
    queue_imbalance_20 = QueueImbalance(s, 6785, context, 20)
    order_flow = OrderFlow(context)
    micro_price = MicroPrice(context)
    trade_sign = TradeSign(context)
    realised_spread = RealisedSpread(context)
    depth_imbalance = DepthImbalance(context)
    depth_micro_price = DepthMicroPrice(context)
    depth_pressure = DepthPressure(context)
    round_trip_log = RoundTrip(context)
    depth_flow = DepthFlow(context)
    out[0] = close_location
    out[1] = log_ret_1
    out[2] = log_ret_2
    out[3] = log_ret_5
    out[4] = log_ret_10
    out[5] = log_ret_20
    out[6] = log_ret_60
    out[7] = drawdown_20
    out[8] = drawdown_60
    out[9] = donchian_upper_20
    out[10] = donchian_upper_60
    out[11] = donchian_lower_20
    out[12] = donchian_20
    out[13] = breakout_20
    out[14] = resistance
    out[15] = support
    out[16] = resistance_atr
    out[17] = support_atr
    out[18] = gap
    out[19] = gap_atr
    out[20] = sma_5
    out[21] = sma_10
    out[22] = sma_20
    out[23] = sma_50
    out[24] = sma_100
    out[25] = sma_200
    out[26] = ema_5
    out[27] = ema_10
    out[28] = ema_20
    out[29] = ema_50
    out[30] = ema_12
    out[31] = ema_26
    out[32] = ema_60
    out[33] = ema_100
    out[34] = ema_200
    out[35] = macd
    out[36] = macd_signal
    out[37] = macd_hist
    out[38] = plus_di_14
    out[39] = minus_di_14
    out[40] = adx_14
    out[41] = close_vs_sma_5
    out[42] = close_vs_sma_10
    out[43] = close_vs_sma_20
    out[44] = close_vs_sma_50
    out[45] = close_vs_ema_5
    out[46] = close_vs_ema_10
    out[47] = close_vs_ema_20
    out[48] = close_vs_ema_50
    out[49] = macd_atr
    out[50] = macd_hist_atr
    out[51] = ema_spread_5_20
    out[52] = ema_spread_20_60
    out[53] = ema_spread_60_200
    out[54] = di_spread_14
    out[55] = aroon_25
    out[56] = trend_strength_20
    out[57] = rsi_14
    out[58] = rsi_2_centred
    out[59] = stoch_k_14
    out[60] = stoch_d_3
    out[61] = williams_r_14
    out[62] = roc_10
    out[63] = cci_20
    out[64] = ret_1
    out[65] = ret_5
    out[66] = ret_15
    out[67] = ret_20
    out[68] = ret_30
    out[69] = ret_60
    out[70] = mean_reversion_20
    out[71] = atr_14
    out[72] = sigma_20
    out[73] = hist_vol_20
    out[74] = atr_close_14
    out[75] = log_atr_close_14
    out[76] = range_atr
    out[77] = realised_vol_20
    out[78] = realised_vol_60
    out[79] = realised_vol_120
    out[80] = realised_vol_ratio_5_60
    out[81] = log_range
    out[82] = log_body
    out[83] = parkinson_20
    out[84] = garman_klass_20
    out[85] = yang_zhang_20
    out[86] = vol_of_vol_20
    out[87] = std_20
    out[88] = bb_upper_20
    out[89] = bb_middle_20
    out[90] = bb_lower_20
    out[91] = zscore_20
    out[92] = percent_b_20
    out[93] = bb_width_20
    out[94] = width_percentile_252
    out[95] = typical_sma_20
    out[96] = typical_ema_20
    out[97] = true_range_sma_20
    out[98] = keltner_sma_upper_20
    out[99] = keltner_sma_lower_20
    out[100] = keltner_ema_upper_20
    out[101] = keltner_ema_lower_20
    out[102] = squeeze_20
    out[103] = since_squeeze_20
    out[104] = skew_60
    out[105] = kurt_60
    out[106] = variance_ratio_2
    out[107] = variance_ratio_8
    out[108] = autocorrelation_20
    out[109] = jump_share_day
    out[110] = obv
    out[111] = mfi_14
    out[112] = volume_sma_20
    out[113] = volume_rate_20
    out[114] = obv_change_20
    out[115] = obv_slope_20
    out[116] = cmf_20
    out[117] = amihud_20
    out[118] = amihud_ratio_20_120
    out[119] = volume_of_day_20
    out[120] = dollar_volume_z_20
    out[121] = vwap
    out[122] = vwap_distance
    out[123] = open_distance
    out[124] = session_sin
    out[125] = session_cos
    out[126] = day_atr_14
    out[127] = day_sigma
    out[128] = return_since_open
    out[129] = return_since_close
    out[130] = minutes_to_close
    out[131] = half_day
    out[132] = weekday
    out[133] = month_first
    out[134] = month_last
    out[135] = options_expiry
    out[136] = trend_5m
    out[137] = rsi_14_5m
    out[138] = return_5m
    out[139] = rv_rank_5m
    out[140] = trend_30m
    out[141] = rsi_14_30m
    out[142] = return_30m
    out[143] = rv_rank_30m
    out[144] = trend_1d
    out[145] = rsi_14_1d
    out[146] = return_1d
    out[147] = rv_rank_1d
    out[148] = market_return_1
    out[149] = sector_return_1
    out[150] = market_beta_60
    out[151] = sector_beta_60
    out[152] = market_correlation_60
    out[153] = market_residual_5
    out[154] = market_residual_20
    out[155] = sector_residual_20
    out[156] = breadth
    out[157] = relative_strength_20
    out[158] = spread_log
    out[159] = queue_imbalance_20
    out[160] = order_flow
    out[161] = micro_price
    out[162] = trade_sign
    out[163] = realised_spread
    out[164] = depth_imbalance
    out[165] = depth_micro_price
    out[166] = depth_pressure
    out[167] = round_trip_log
    out[168] = depth_flow
    end(s, now)
    if now.n < WARMEST:
        for i in range(WARMUPS.shape[0]):
            if now.n < WARMUPS[i]:
                out[i] = np.nan
    if now.sessions < LONGEST:
        for i in range(LATE.shape[0]):
            if now.sessions < SESSIONS[LATE[i]]:
                out[LATE[i]] = np.nan
    return now.n


@cached
def run(
    s: Array,
    book: Array,
    panel: Array,
    row: int,
    market: int,
    sector: int,
    bars: Array,
    days: Array,
    day_of: Ints,
    context: Array,
    out: Array,
) -> int:
    """Step over bars, (n, 6): seconds, open, high, low, close, volume; return how many were seen, 0 if not the last one.

    `days[day_of[k]]` is the session of bar k. Before each bar the symbol's `row` of the panel (`cross_section.look`) and
    its book (`microstructure.sample`) are asked, which fill `context`, (n, CONTEXT); a row of -1 takes that as given.
    `out` is (n, n_features). A bar with NaN seconds, or one that cannot be, is passed over: its row of `out` is NaN.
    """
    seen = 0
    for k in range(bars.shape[0]):
        seen = 0
        seconds, open_, high, low, close, volume = bars[k]
        if not np.isnan(seconds) and is_possible(open_, high, low, close, volume):
            day = days[day_of[k]]
            if row >= 0:
                look(
                    panel, row, market, sector, seconds, close, (high + low + close) / 3.0, volume, day[0], context[k]
                )
                sample(book, seconds, context[k])
            seen = step(s, open_, high, low, close, volume, seconds, day, context[k], out[k])
        if seen == 0:
            out[k] = np.nan
    return seen


SURVEY_SIGNATURE = cross_section.SURVEY_SIGNATURE
_survey = cross_section.survey


@cached
def survey(panel: Array, order: Ints, symbol: Ints, market: int, sectors: Ints, bars: Array, labels: Array, context: Array) -> None:
    """Compile `cross_section.survey`."""
    return _survey(panel, order, symbol, market, sectors, bars, labels, context)


OPEN_BOOK_SIGNATURE = microstructure.OPEN_BOOK_SIGNATURE
_open_book = microstructure.open_book


@cached
def open_book(b: Array, opens: float, closes: float) -> None:
    """Compile `microstructure.open_book`."""
    return _open_book(b, opens, closes)


ON_QUOTE_SIGNATURE = microstructure.ON_QUOTE_SIGNATURE
_on_quote = microstructure.on_quote


@cached
def on_quote(b: Array, seconds: float, bid: float, ask: float, bid_size: float, ask_size: float) -> bool:
    """Compile `microstructure.on_quote`."""
    return _on_quote(b, seconds, bid, ask, bid_size, ask_size)


ON_TRADE_SIGNATURE = microstructure.ON_TRADE_SIGNATURE
_on_trade = microstructure.on_trade


@cached
def on_trade(b: Array, seconds: float, price: float, size: float) -> bool:
    """Compile `microstructure.on_trade`."""
    return _on_trade(b, seconds, price, size)


ON_DEPTH_SIGNATURE = microstructure.ON_DEPTH_SIGNATURE
_on_depth = microstructure.on_depth


@cached
def on_depth(b: Array, seconds: float, row: Array) -> bool:
    """Compile `microstructure.on_depth`."""
    return _on_depth(b, seconds, row)


REPLAY_SIGNATURE = microstructure.REPLAY_SIGNATURE
_replay = microstructure.replay


@cached
def replay(b: Array, quotes: Array, trades: Array, depths: Array, sessions: Array, seconds: Array, context: Array) -> None:
    """Compile `microstructure.replay`."""
    return _replay(b, quotes, trades, depths, sessions, seconds, context)


COMPILED = tuple((globals()[name], globals()[f"{name.upper()}_SIGNATURE"]) for name in ('run', 'survey', 'open_book', 'on_quote', 'on_trade', 'on_depth', 'replay'))
