// The two charts: candles with volume and fills, and the equity curve.

import {
  BaselineSeries, CandlestickSeries, HistogramSeries, createChart, createSeriesMarkers,
} from "./vendor/lightweight-charts.standalone.production.mjs";
import { date, hours, money, when } from "./format.js";

const GAIN = "#2ebd85";
const LOSS = "#f6465d";
const MINUTE_S = 60;

const look = {
  autoSize: true,
  layout: { background: { color: "transparent" }, textColor: "#8a99ab", fontFamily: "inherit", attributionLogo: true },
  grid: { vertLines: { color: "#1a222d" }, horzLines: { color: "#1a222d" } },
  rightPriceScale: { borderColor: "#263140", entireTextOnly: true },
  timeScale: {
    borderColor: "#263140", timeVisible: true, rightOffset: 3, minBarSpacing: 1,
    // 0..2 are years, months and days; from 3 on it is a time of day.
    tickMarkFormatter: (at, kind) => (kind < 3 ? date(1000 * at) : hours(1000 * at)),
  },
  localization: {
    priceFormatter: money,
    timeFormatter: (at) => `${date(1000 * at)} ${hours(1000 * at)}`,
  },
  crosshair: { mode: 0 },
  handleScroll: { vertTouchDrag: false },
};

// A bar is known at its close and drawn at its open, as traders are used to.
const opened = (bar) => when(bar) / 1000 - seconds(bar);

const seconds = (bar) => (bar.interval_ns ? bar.interval_ns / 1e9 : MINUTE_S);

/** Sort by time and keep the last of each second: the library takes nothing else. */
function ordered(points) {
  const byTime = new Map(points.map((point) => [point.time, point]));
  return [...byTime.values()].sort((a, b) => a.time - b.time);
}

const drawable = (bar) => [bar.open, bar.high, bar.low, bar.close].every(Number.isFinite);

export class CandleChart {
  constructor(box) {
    this.chart = createChart(box, look);
    const colors = { upColor: GAIN, downColor: LOSS, wickUpColor: GAIN, wickDownColor: LOSS, borderVisible: false };
    this.candles = this.chart.addSeries(CandlestickSeries, colors);
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.24 } });
    this.volume = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false,
    });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.markers = createSeriesMarkers(this.candles, []);
    this.symbol = "";
    this.drawn = 0;
    this.bar_s = MINUTE_S;
  }

  /** Draw all bars of a symbol; the visible range is kept unless the symbol is a new one. */
  draw(symbol, bars, fills) {
    const points = ordered(bars.filter(drawable).map((bar) => ({ ...bar, time: opened(bar) })));
    this.candles.setData(points.map(({ time, open, high, low, close }) => ({ time, open, high, low, close })));
    this.volume.setData(points.map((bar) => ({
      time: bar.time, value: bar.volume ?? 0, color: bar.close >= bar.open ? `${GAIN}55` : `${LOSS}55`,
    })));
    if (points.length) this.bar_s = seconds(points.at(-1));
    this.mark(symbol, fills, points);
    if (points.length && (symbol !== this.symbol || !this.drawn)) this.show(points.length);
    this.symbol = symbol;
    this.drawn = points.length;
  }

  /** Draw one more bar, or the last one again. Returns false where it is older than what is drawn. */
  add(bar) {
    if (!drawable(bar)) return true;
    const last = this.candles.data().at(-1);
    const time = opened(bar);
    if (!last || time < last.time) return false;
    this.candles.update({ time, open: bar.open, high: bar.high, low: bar.low, close: bar.close });
    this.volume.update({ time, value: bar.volume ?? 0, color: bar.close >= bar.open ? `${GAIN}55` : `${LOSS}55` });
    return true;
  }

  show(bars) {
    const visible = Math.min(bars, Math.max(40, Math.round(this.chart.timeScale().width() / 7)));
    this.chart.timeScale().setVisibleLogicalRange({ from: bars - visible, to: bars + 3 });
  }

  /** Mark fills, the slices of one bar and side as one marker. */
  mark(symbol, fills, points = this.candles.data()) {
    const groups = new Map();
    for (const fill of fills.filter((row) => row.symbol === symbol)) {
      const time = Math.floor(when(fill) / 1000 / this.bar_s) * this.bar_s;
      const key = `${time}${fill.side}`;
      const group = groups.get(key) ?? { time, side: fill.side, quantity: 0 };
      group.quantity += fill.quantity;
      groups.set(key, group);
    }
    const first = points[0]?.time ?? Infinity;
    this.markers.setMarkers([...groups.values()]
      .filter((group) => group.time >= first)
      .sort((a, b) => a.time - b.time)
      .map(({ time, side, quantity }) => ({
        time,
        position: side === "BUY" ? "belowBar" : "aboveBar",
        shape: side === "BUY" ? "arrowUp" : "arrowDown",
        color: side === "BUY" ? GAIN : LOSS,
        text: `${side === "BUY" ? "B" : "S"} ${quantity}`,
      })));
  }
}

export class EquityChart {
  constructor(box) {
    // Always fitted, however many points there are; the wheel is left to the page.
    this.chart = createChart(box, { ...look, handleScroll: false, handleScale: false });
    this.chart.applyOptions({ timeScale: { minBarSpacing: 0.01 } });
    this.line = this.chart.addSeries(BaselineSeries, {
      topLineColor: GAIN, topFillColor1: `${GAIN}33`, topFillColor2: `${GAIN}05`,
      bottomLineColor: LOSS, bottomFillColor1: `${LOSS}05`, bottomFillColor2: `${LOSS}33`,
      lineWidth: 2, priceLineVisible: false,
    });
  }

  /** Draw the curve against the equity it is measured from. */
  draw(rows, base) {
    const points = ordered(rows.map((row) => ({ time: Math.floor(when(row) / 1000), value: Number(row.equity) })));
    const value = Number(base ?? points[0]?.value ?? 0);
    this.line.applyOptions({ baseValue: { type: "price", price: value } });
    this.line.setData(points);
    this.chart.timeScale().fitContent();
  }
}
