// The tables: which columns, what fills them, and how they are written. All text goes in as text, never as HTML.

import { NOTHING, count, date, money, number, percent, signed, time, tone, when } from "./format.js";

const text = (value) => (value === null || value === undefined || value === "" ? NOTHING : String(value));
// The day is written where it is not that of the newest row.
const at = (name) => ({
  head: "Time",
  cell: (row, newest) => {
    const [day, today] = [row, newest].map((one) => date(when(one, name)));
    return `${day === today ? "" : `${day} `}${time(when(row, name))}`;
  },
  kind: "dim",
});
const symbol = { head: "Symbol", cell: (row) => text(row.symbol), kind: "symbol" };
const side = {
  head: "Side",
  cell: (row) => text(row.side),
  tone: (row) => (row.side === "BUY" ? "gain" : "loss"),
};
const why = { head: "Why", cell: (row) => text(row.reason), kind: "prose" };
const profit = (head, name) => ({
  head, cell: (row) => signed(row[name]), tone: (row) => tone(row[name]), kind: "number",
});
const figure = (head, cell, kind = "number") => ({ head, cell, kind });

const wish = (row) => (row.direction > 0 ? "▲ long" : row.direction < 0 ? "▼ short" : "■ flat");
const abstained = (row) => row.kind?.toLowerCase() === "abstained"; // the hub names the message, the database the kind
const strength = (row) => (abstained(row) ? NOTHING : number(row.strength && Number(row.strength).toFixed(2)));
const moment = (ns) => (ns ? `${date(ns / 1e6)} ${time(ns / 1e6)}` : NOTHING);

/** The prices of the stops at the broker, for how many shares where not for all, or the alarm. */
function stopped(row) {
  if (row.unprotected) return `UNPROTECTED ${count(row.unprotected)}`;
  if (!row.covered) return "none";
  const prices = row.stops.map((stop) => money(stop.price)).join(", ");
  return row.covered === Math.abs(row.quantity) ? prices : `${prices} for ${count(row.covered)}`;
}

const type = (row) => (row.limit_price ? `LMT ${money(row.limit_price)}` : row.stop_price ? `STP ${money(row.stop_price)}` : text(row.type));
export const LIVELY = new Set(["intent", "working", "partial", "unknown"]);
const TESTS = { psi: "PSI", ks: "Kolmogorov-Smirnov", page_hinkley: "Page-Hinkley" };
const FAILED = new Set(["rejected", "unknown"]);

export const TABLES = {
  positions: {
    empty: "No open position. One appears with the first fill.",
    columns: [
      symbol,
      figure("Shares", (row) => count(row.quantity)),
      figure("Average", (row) => money(row.average), "number opt"),
      figure("Last", (row) => money(row.last)),
      profit("Unrealised", "unrealised"),
      { ...profit("Realised", "realised"), kind: "number opt roomy" },
      {
        head: "Stop",
        cell: stopped,
        kind: "number",
        tone: (row) => (row.unprotected ? "bare" : ""),
        title: (row) => row.bare || (row.stops ?? []).map((stop) => `${stop.shares} at ${money(stop.price)}`).join("\n"),
      },
      { head: "", kind: "acts", acts: (row) => [["flatten", "Flatten", row.symbol]] },
    ],
  },
  quarantines: {
    empty: "Our books and the broker agree.",
    columns: [
      symbol,
      figure("Ours", (row) => count(row.ours)),
      figure("Broker", (row) => count(row.broker)),
      { head: "Since", cell: (row) => moment(row.since), kind: "dim" },
      {
        head: "State",
        cell: (row) => [row.since && "not traded", row.ignored && `${count(row.ignored)} left alone until ${moment(row.ignored_until)}`].filter(Boolean).join("; "),
        tone: (row) => (row.since ? "loss" : "dim"),
        kind: "prose",
      },
      {
        head: "",
        kind: "acts",
        acts: (row) => (row.since ? [["adopt", "Adopt", row.symbol], ["flatten-theirs", "Flatten", row.symbol], ["ignore", "Ignore until …", row.symbol]] : []),
      },
    ],
  },
  drift: {
    empty: "No feature is beyond a limit.",
    columns: [
      { head: "Since", cell: (row) => moment(row.ts_ns ?? row.ts), kind: "dim" },
      figure("Feature", (row) => text(row.feature), "strong"),
      figure("Test", (row) => TESTS[row.test] ?? text(row.test), ""),
      figure("Value", (row) => number(Number(row.value.toPrecision(3)))),
      figure("Limit", (row) => number(Number(row.limit.toPrecision(3)))),
    ],
  },
  orders: {
    empty: "No order yet. One appears when a signal passes sizing and every gate.",
    columns: [
      at("created"), symbol, side,
      figure("Filled", (row) => `${count(row.filled)} / ${count(row.quantity)}`),
      figure("Type", type, "opt"),
      {
        head: "Status",
        cell: (row) => text(row.status),
        tone: (row) => (FAILED.has(row.status) ? "loss" : LIVELY.has(row.status) ? "lively" : "dim"),
      },
      { head: "Why", cell: (row) => text(row.message || row.reason), kind: "prose opt" },
    ],
  },
  fills: {
    empty: "No fill yet. One appears for every execution the broker reports.",
    columns: [
      at("ts"), symbol, side,
      figure("Shares", (row) => count(row.quantity)),
      figure("Price", (row) => money(row.price)),
      figure("Commission", (row) => money(row.commission), "number opt"),
      {
        ...figure("By", (row) => (row.origin && row.origin !== "ours" ? row.origin : `${row.stop ? "stop " : ""}${text(row.order_id)}`), "opt"),
        tone: (row) => (row.origin && row.origin !== "ours" ? "lively" : "dim"),
        title: (row) => (row.superseded_by ? `corrected by ${row.superseded_by}` : row.order_id),
      },
    ],
  },
  signals: {
    empty: "No signal yet. The strategies speak once their features are warm and a bar has closed.",
    columns: [
      at("ts"), symbol,
      {
        head: "Wants",
        cell: (row) => (abstained(row) ? "abstains" : wish(row)),
        tone: (row) => (abstained(row) ? "dim" : tone(row.direction)),
      },
      figure("Strength", strength, "number opt"),
      figure("Prob.", (row) => percent(row.probability)),
      figure("Strategy", (row) => text(row.strategy), "dim opt"),
      why,
    ],
  },
  decisions: {
    empty: "No decision yet. Each signal becomes an order here, or says why it did not.",
    columns: [
      at("ts"), symbol,
      {
        head: "Decision",
        cell: (row) => (row.order_id ? `${row.side} ${count(row.quantity)}` : "no order"),
        tone: (row) => (row.order_id ? (row.side === "BUY" ? "gain" : "loss") : "dim"),
      },
      figure("By", (row) => text(row.order_id && row.algorithm), "opt"),
      { ...why, title: (row) => Object.entries(row.steps ?? {}).map((step) => `${step[0]} ${number(step[1])}`).join("\n") },
    ],
  },
  denied: {
    empty: "No refusal yet. A gate that stops an order says here which value met which limit.",
    columns: [
      at("ts"), symbol,
      figure("Gate", (row) => text(row.gate).replaceAll("_", " "), "strong"),
      figure("Value", (row) => (row.value === null && row.limit !== null ? "unknown" : number(row.value))),
      figure("Limit", (row) => number(row.limit)),
      why,
    ],
  },
  events: {
    empty: "Nothing to report: halts, feed trouble, anomalies and rejected orders appear here.",
    columns: [
      at("ts"),
      {
        head: "Level",
        cell: (row) => text(row.severity),
        tone: (row) => ({ crit: "loss", warn: "lively" })[row.severity] ?? "dim",
      },
      { ...symbol, kind: "symbol opt" },
      { head: "What", cell: (row) => text(row.text), kind: "prose" },
    ],
  },
};

const LONGEST = 60;

function element(name, className, content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

/** The buttons of a row; where nothing can be commanded there are none. */
function buttons(cell, acts, act) {
  for (const [name, label, subject] of act ? acts : []) {
    const button = element("button", "act", label);
    button.dataset.act = `${name} ${subject}`;
    button.setAttribute("aria-label", `${label} ${subject}`);
    button.addEventListener("click", () => act(name, subject));
    cell.append(button);
  }
}

function line(columns, row, newest, pick, act) {
  const made = element("tr", `${row.old ? "stale" : ""} ${row.superseded_by ? "void" : ""}`.trim());
  for (const column of columns) {
    if (column.acts) {
      const cell = element("td", column.kind);
      buttons(cell, column.acts(row), act);
      made.append(cell);
      continue;
    }
    const cell = element("td", `${column.kind ?? ""} ${column.tone?.(row) ?? ""}`.trim());
    const words = column.cell(row, newest);
    cell.dataset.head = column.head;
    if (column.title) cell.title = column.title(row);
    if (column.kind?.startsWith("symbol") && row.symbol) {
      const button = element("button", "link", words);
      button.addEventListener("click", () => pick(row.symbol));
      cell.append(button);
    } else {
      cell.textContent = words;
    }
    made.append(cell);
  }
  return made;
}

/** Write a table's rows, newest first; clicking a symbol calls `pick(symbol)`, a row's button `act(name, symbol)`. */
export function write(name, rows, note, pick, act) {
  const { columns, empty } = TABLES[name];
  const box = document.getElementById(name);
  box.parentElement.querySelector(".count").textContent = [rows.length || "", note].filter(Boolean).join(" · ");
  if (!rows.length) {
    box.replaceChildren(element("p", "empty", empty));
    return;
  }
  const table = element("table");
  const head = element("tr");
  columns.forEach((column) => head.append(element("th", column.kind ?? "", column.head)));
  table.append(element("thead"), element("tbody"));
  table.tHead.append(head);
  table.tBodies[0].append(...rows.slice(0, LONGEST).map((row) => line(columns, row, rows[0], pick, act)));
  const scrolled = box.scrollTop;
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.act : undefined;
  box.replaceChildren(table);
  box.scrollTop = scrolled;
  if (focused) box.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
}
