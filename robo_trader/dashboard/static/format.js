// How numbers, times and ages are written. Times of the market are New York's, money is US dollars.

const zone = { timeZone: "America/New_York", hourCycle: "h23" };
const clock = new Intl.DateTimeFormat("en-GB", { ...zone, hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { ...zone, hour: "2-digit", minute: "2-digit" });
const here = new Intl.DateTimeFormat("en-GB", { hourCycle: "h23", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { ...zone, weekday: "short", day: "numeric", month: "short" });
const dollars = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const counts = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const plain = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });

export const NOTHING = "–";
const known = (value) => value !== null && value !== undefined && value !== "";

/** When a row happened, in ms: rows of the hub carry ns in `ts`, rows of the database in `ts_ns`. */
export const when = (row, name = "ts") => (row[`${name}_ns`] ?? row[name] ?? NaN) / 1e6;

export const time = (ms) => (Number.isFinite(ms) ? clock.format(ms) : NOTHING);
/** A time of the wall, not of the market: the reader's own. */
export const wall = (ms) => (Number.isFinite(ms) ? here.format(ms) : NOTHING);
export const hours = (ms) => minute.format(ms);
export const date = (ms) => (Number.isFinite(ms) ? day.format(ms) : NOTHING);
export const money = (value) => (known(value) ? dollars.format(value) : NOTHING);
export const count = (value) => (known(value) ? counts.format(value) : NOTHING);
export const number = (value) => (known(value) ? plain.format(value) : NOTHING);
export const percent = (value) => (known(value) ? `${(100 * value).toFixed(1)}%` : NOTHING);

/** A gain or loss with its sign, so that colour is not the only carrier. */
export const signed = (value) => {
  if (!known(value)) return NOTHING;
  return `${Number(value) > 0 ? "+" : Number(value) < 0 ? "−" : ""}${dollars.format(Math.abs(value))}`;
};
export const tone = (value) => (Number(value) > 0 ? "gain" : Number(value) < 0 ? "loss" : "");

export const age = (ms) => {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
};
