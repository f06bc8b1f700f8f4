// Puts the hub's stream, the database's past and the page together; draws at most a few times a second.

import { CandleChart, EquityChart } from "./charts.js";
import { commands } from "./commands.js";
import { armed, confirm } from "./controls.js";
import { DeskState } from "./desk.js";
import { Feed } from "./feed.js";
import { NOTHING, age, count, date, money, signed, time, tone, wall, when } from "./format.js";
import { LIVELY, TABLES, write } from "./panels.js";

const LISTS = Object.keys(TABLES);
const DRAW_MS = 150;
const PRESS_MS = 1500;
const MODES = { practice: "blue", "dry-run": "blue", paper: "amber", live: "red" };
// What each list is called in the REST answers; events are not in the database.
const PAST = { orders: "orders", fills: "fills", signals: "signals", decisions: "decisions", denied: "violations" };

// What makes a row of the hub and one of the database the same.
const said = (row) => [when(row), row.symbol, row.strategy ?? row.gate, row.order_id, row.reason].join();
const NAMES = {
  orders: (row) => row.id, fills: (row) => row.exec_id, signals: said, decisions: said, denied: said,
};

const $ = (id) => document.getElementById(id);
const candles = new CandleChart($("chart"));
const curve = new EquityChart($("curve"));
const past = {}; // what the database said, by channel; shown until the hub says more
const dirty = new Set();
let stored = false; // is there a database to ask?
let known = [];
let symbol = "";
let announced = 0;

const port = document.querySelector("meta[name=hub-port]").content;
const feed = new Feed(`ws://${location.hostname}:${port}`, changed, linked);
feed.subscribe(["status", "account", "equity", "protection", "regimes", ...LISTS]);
const desk = new DeskState(feed, ask, () => ["status", "positions", "quarantines", "drift"].forEach((name) => dirty.add(name)));

// ------------------------------------------------------------------------------------------------ what is shown

/** What the lists show: positions with what protects them, quarantines from wherever they are known. */
function listed(name) {
  if (name === "quarantines") return desk.quarantines();
  if (name === "drift") return desk.drift().rows;
  if (name === "fills") {
    const stops = new Set(rows("orders").filter((row) => row.type === "STP").map((row) => row.id));
    return rows(name).reverse().map((row) => ({ ...row, stop: stops.has(row.order_id) }));
  }
  if (name !== "positions") return rows(name).reverse();
  const protection = desk.protection();
  return rows(name).map((row) => {
    const { covered, stops, unprotected, why } = protection.get(row.symbol) ?? {};
    return { ...row, covered, stops, unprotected, bare: why, old: overdue(row) > 0 };
  });
}

/** Oldest first: what the database remembers and the hub no longer says, then what the hub says. */
function rows(channel) {
  const live = feed.rows(channel);
  const old = past[channel] ?? [];
  if (!NAMES[channel]) return live.length || feed.fresh() ? live : old;
  const told = new Set(live.map(NAMES[channel]));
  live.sort((a, b) => began(channel, a) - began(channel, b));
  return [...old.filter((row) => !told.has(NAMES[channel](row))), ...live];
}

const began = (channel, row) => when(row, channel === "orders" ? "created" : "ts");

const fromPast = (channel) => !feed.rows(channel).length && !feed.fresh() && (past[channel]?.length ?? 0) > 0;
const status = () => feed.row("status") ?? {};
const account = () => feed.row("account") ?? past.account?.at(-1);

function changed(channel) {
  dirty.add(channel);
  if (channel === "status") {
    follow();
    dirty.add("drift");
  }
  if (channel === "protection") dirty.add("positions");
}

let spoken = false; // was the daemon connected when last looked at?

function linked() {
  // A desk that comes (back) may be a new session: the earlier one is now in the database only.
  if (feed.desk && !spoken) remember();
  spoken = feed.desk;
  redraw();
}

function redraw() {
  ["status", "account", "equity", ...LISTS, `bars:${symbol}`].forEach((channel) => dirty.add(channel));
}

/** Choose a symbol: the one in the address, else the first one known. */
function follow() {
  const held = feed.rows("positions").map((row) => row.symbol);
  const all = [...new Set([...(status().symbols ?? []), ...known, ...held])];
  const wanted = decodeURIComponent(location.hash.slice(1));
  const chosen = all.includes(wanted) ? wanted : all.includes(symbol) ? symbol : (all[0] ?? "");
  if ($("symbols").dataset.all !== all.join()) {
    $("symbols").dataset.all = all.join();
    $("symbols").replaceChildren(...all.map(tab));
  }
  if (chosen && chosen !== symbol) choose(chosen);
}

function tab(name) {
  const button = document.createElement("button");
  button.textContent = name;
  button.setAttribute("aria-pressed", String(name === symbol));
  button.addEventListener("click", () => pick(name));
  return button;
}

function pick(name) {
  location.hash = encodeURIComponent(name);
}

function choose(name) {
  if (symbol) feed.unsubscribe([`bars:${symbol}`, `quotes:${symbol}`]);
  symbol = name;
  feed.subscribe([`bars:${name}`, `quotes:${name}`]);
  for (const button of $("symbols").children) button.setAttribute("aria-pressed", String(button.textContent === name));
  dirty.add(`bars:${name}`).add(`quotes:${name}`);
  rememberBars(name);
}

// -------------------------------------------------------------------------------------------------- the past

async function ask(path) {
  try {
    const answer = await fetch(`/api/v1/${path}`);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // the page's server is gone; the banner speaks of what that means
  }
}

async function rememberBars(name) {
  if (!stored || past[`bars:${name}`]) return;
  past[`bars:${name}`] = (await ask(`bars?limit=1000&symbol=${encodeURIComponent(name)}`)) ?? [];
  dirty.add(`bars:${name}`);
}

async function remember() {
  stored = (await ask("healthz"))?.database === "present";
  if (!stored) return;
  known = (await ask("symbols")) ?? [];
  for (const [channel, path] of Object.entries(PAST)) past[channel] = ((await ask(path)) ?? []).reverse();
  past.positions = ((await ask("positions")) ?? []).filter((row) => row.quantity).map(priced);
  const books = ((await ask("equity")) ?? []).map((row) => ({ ...row, equity: Number(row.cash) + Number(row.value) }));
  past.equity = books;
  past.account = books.slice(-1);
  await desk.look();
  past.session = desk.told?.session;
  follow();
  if (symbol) rememberBars(symbol);
  redraw();
}

function priced(row) {
  const paid = row.lots.reduce((sum, lot) => sum + lot.quantity * Number(lot.price), 0);
  return { ...row, average: row.quantity ? paid / row.quantity : null };
}

// ------------------------------------------------------------------------------------------------- staleness

/** How old a value may be: three times the interval it is expected at, and never less than three heartbeats. */
function patience() {
  return 3 * Math.max(1000 * (status().interval_s ?? 60), feed.beat);
}

/** Age of a row in ms when it is too old to be shown as fresh, else 0. */
function overdue(row) {
  const old = row?.at === undefined ? Infinity : feed.now() - row.at;
  return !feed.fresh() || old > patience() ? old : 0;
}

function put(id, words, row, toned) {
  const box = $(id);
  const old = row ? overdue(row) : 0;
  box.textContent = words;
  for (const name of ["gain", "loss"]) box.classList.toggle(name, toned === name);
  box.classList.toggle("stale", old > 0);
  if (!old || words === NOTHING) return;
  const ago = document.createElement("small");
  ago.textContent = Number.isFinite(old) ? ` ${age(old)} old` : " from the database";
  box.append(ago);
}

// --------------------------------------------------------------------------------------------------- drawing

function drawStrip() {
  const now = status();
  const books = account();
  const mode = now.mode ?? past.session?.mode;
  $("mode").textContent = mode ?? "no desk";
  $("mode").className = `badge ${feed.fresh() ? (MODES[mode] ?? "") : "stale"}`;
  document.body.dataset.mode = feed.fresh() ? (mode ?? "") : "";
  const link = desk.link() ?? { state: now.connection?.state ?? "unknown", why: now.connection?.detail };
  // The link is told only when it changes, so it is as fresh as the desk itself.
  put("broker", linkWords(link), now.at && { at: feed.fresh() ? feed.now() : now.at }, link.state === "ready" || link.state === "live" ? "" : "loss");
  $("broker").title = link.why ?? "";
  put("clock", now.market_ts ? `${date(when(now, "market_ts"))} ${time(when(now, "market_ts"))}` : NOTHING, now.market_ts && now);
  put("equity", money(books?.equity), books);
  const share = books?.day_start > 0 ? ` (${signed((100 * books.day_pnl) / books.day_start)}%)` : "";
  put("day", signed(books?.day_pnl) + share, books, tone(books?.day_pnl));
  put("unrealised", signed(books?.unrealised), books, tone(books?.unrealised));
  put("realised", signed(books?.realised), books, tone(books?.realised));
  put("cash", money(books?.cash), books);
  $("age").textContent = feed.told ? `${age(feed.now() - feed.told)} ago` : NOTHING;
  const trading = desk.trading();
  $("trading").hidden = !trading;
  $("trading").textContent = trading?.state === "active" ? "trading" : (trading?.state ?? "");
  $("trading").className = `chip ${{ active: "gain", reducing: "lively" }[trading?.state] ?? "loss"} ${feed.fresh() || desk.alive() ? "" : "stale"}`;
  $("resume").hidden = !trading || trading.state === "active";
  const session = now.session ?? past.session?.id;
  $("session").textContent = session ? `Session ${session}, account ${now.account ?? past.session?.account ?? NOTHING}.${now.learning ? ` ${now.learning}.` : ""}` : "No session.";
  document.title = books?.equity ? `${money(books.equity)} · RoboTrader` : "RoboTrader";
}

function drawBanners() {
  const fresh = feed.fresh();
  document.body.classList.toggle("frozen", !fresh);
  const since = feed.told ? ` Values are as of ${age(feed.now() - feed.told)} ago.` : "";
  const silence = desk.silence();
  const beat = desk.alive()
    ? " The daemon lives; what is shown is from its database."
    : silence === null ? "" : ` Its last sign of life was ${age(silence)} ago.`;
  const reason = feed.open
    ? feed.desk
      ? "The daemon has stopped speaking."
      : "The daemon is not connected to the hub: nothing here is live."
    : "No connection to the hub; trying again.";
  $("banner").hidden = fresh;
  write_once("banner", fresh ? "" : reason + beat + since);
  const trading = desk.trading();
  const link = desk.link();
  const bare = [...desk.protection().values()].filter((row) => row.unprotected);
  const drift = desk.drift().summary;
  const today = date(when(status(), "market_ts"));
  const began_at = (hold) => `${[date(when(hold)), NOTHING].includes(today) ? "" : `${date(when(hold))} `}${time(when(hold))}`;
  const alarms = [
    ...(trading?.holds ?? []).map((hold) => `${hold.state.toUpperCase()} by ${hold.by} since ${began_at(hold)}: ${hold.reason}`),
    ...(link && link.state !== "ready" ? [`LINK ${linkWords(link)}: ${link.why}`] : []),
    ...bare.map((row) => `UNPROTECTED: ${count(row.unprotected)} ${row.symbol}, ${row.why}`),
    ...desk.regimes().filter((row) => row.regime === "crash").map((row) => `CRASH ${row.symbol}: ${row.why}`),
    ...(drift?.alarm ? [`DRIFT: ${drift.drifting} of ${drift.columns} features no longer look as in training`] : []),
    ...desk.splits().map((row) => `${row.symbol} looks like a ${row.ratio} split: if it was one, robo-trader split ${row.symbol} ${row.ratio} --reason …`),
    ...desk.quarantines().filter((row) => row.since).map((row) => `QUARANTINE ${row.symbol}: ours ${row.ours}, broker ${row.broker}`),
  ];
  $("alarm").hidden = !alarms.length;
  $("alarm").classList.toggle("lively", trading?.state !== "halted" && !bare.length);
  write_once("alarm", alarms.join("\n"));
}

/** The state of the link in words, with until when it waits. */
function linkWords({ state, until }) {
  return until ? `${state} until ${wall(until / 1e6)} your time` : state;
}

/** Change an announced element only when its words change, or a screen reader would read it again and again. */
function write_once(id, words) {
  if ($(id).textContent !== words) $(id).textContent = words;
}

function drawQuote() {
  const quote = feed.row(`quotes:${symbol}`);
  const bar = rows(`bars:${symbol}`).at(-1);
  const words = quote
    ? `bid ${money(quote.bid)} × ${count(quote.bid_size)}   ask ${money(quote.ask)} × ${count(quote.ask_size)}`
    : bar
      ? `last close ${money(bar.close)}`
      : "";
  const regime = desk.regimes().find((row) => row.symbol === symbol);
  put("quote", [words, regime && (regime.known ? regime.regime : `${regime.regime}, ${regime.why}`)].filter(Boolean).join("   "), quote ?? bar);
}

function drawBars() {
  const bars = rows(`bars:${symbol}`);
  const last = bars.at(-1);
  const grown = bars.length - candles.drawn;
  if (candles.symbol !== symbol || grown !== 1 || !candles.add(last)) candles.draw(symbol, bars, stood());
  else candles.drawn = bars.length;
  $("chart-empty").textContent = bars.length ? "" : `${symbol || "A symbol"}: bars appear once the feed has delivered history or the first minute has closed.`;
  $("chart").classList.toggle("stale", bars.length > 0 && overdue(last) > 0);
}

/** Executions as they stand: those corrected or taken back are not marked. */
const stood = () => rows("fills").filter((row) => !row.superseded_by && row.quantity);

function drawEquity() {
  const points = rows("equity");
  curve.draw(points, points === past.equity ? points[0]?.start : account()?.start);
  $("curve-empty").textContent = points.length ? "" : "The curve begins with the first bar after the books are opened.";
  $("equity-note").textContent = points.length ? (fromPast("equity") ? "from the database" : "this session") : "";
  $("curve").classList.toggle("stale", points.length > 0 && overdue(account()) > 0);
}

function drawList(name) {
  if (Date.now() < pressed) { // what is being clicked on must not be replaced under the pointer
    dirty.add(name);
    return;
  }
  const found = listed(name);
  if (name === "quarantines") {
    $("quarantine-panel").hidden = !found.length;
    $("quarantine-panel").classList.toggle("calm", !found.some((row) => row.since)); // left alone is no alarm
  }
  if (name === "drift") {
    const { summary } = desk.drift();
    $("drift-panel").hidden = !found.length && !summary;
    $("drift-panel").classList.toggle("calm", !summary?.alarm);
    const told = summary ? `${summary.drifting} of ${summary.columns} features` : "";
    write(name, found, told, pick, null);
    return;
  }
  write(name, found, fromPast(name) ? "from the database" : "", pick, armed ? act : null);
}

// ------------------------------------------------------------------------------------------------ what is done

let pressed = 0; // until when a press of the pointer is minded: its end may come to another window
addEventListener("pointerdown", () => { pressed = Date.now() + PRESS_MS; }, true);
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => { pressed = 0; }, true);

const wishes = commands({
  held: () => rows("positions"),
  working: () => rows("orders").filter((row) => LIVELY.has(row.status) && row.type !== "STP"),
  quarantines: () => desk.quarantines(),
});

function act(name, subject) {
  confirm(wishes[name](subject));
}

$("switch").hidden = !armed;
for (const button of $("switch").children) button.addEventListener("click", () => act(button.id));

function announce() {
  const fills = feed.rows("fills");
  const last = fills.at(-1);
  if (announced && fills.length > announced) $("said").textContent = `${last.side} ${last.quantity} ${last.symbol} at ${last.price}`;
  announced = fills.length;
}

function draw() {
  const due = new Set(dirty);
  dirty.clear();
  const ready = symbol && due.has(`bars:${symbol}`);
  if (ready || !symbol) drawBars();
  if (due.has(`quotes:${symbol}`) || due.has("regimes") || ready) drawQuote();
  if (due.has("equity")) drawEquity();
  if (due.has("fills")) {
    candles.mark(symbol, stood());
    announce();
  }
  LISTS.filter((name) => due.has(name)).forEach(drawList);
  drawStrip();
  drawBanners();
}

setInterval(() => dirty.size && draw(), DRAW_MS);
// Ages grow even when nothing arrives.
setInterval(() => {
  drawStrip();
  drawBanners();
  drawQuote();
  ["positions", "quarantines"].forEach(drawList);
  $("chart").classList.toggle("stale", candles.drawn > 0 && overdue(rows(`bars:${symbol}`).at(-1)) > 0);
  $("curve").classList.toggle("stale", overdue(account()) > 0);
}, 1000);
addEventListener("hashchange", follow);
redraw();
remember();
