// Holds the conversation with @stoqey/ib, by its events, and prints what it heard as JSON.
// Arguments: the gateway's port, and the directory that has node_modules.

import { createRequire } from "node:module";
import { resolve } from "node:path";

const [port, directory] = process.argv.slice(2);
const { IBApi, EventName, OrderAction, OrderType, SecType, WhatToShow, BarSizeSetting } = createRequire(
  resolve(directory, "here.js"),
)("@stoqey/ib");

const DEADLINE = 30_000; // milliseconds for any one answer
const TAGS = "AccountType,NetLiquidation,TotalCashValue,BuyingPower";
const [NOPE, DETAILS, SUMMARY, HISTORY, QUOTE, BARS, DEPTH, EXECUTIONS] = [9001, 9002, 9003, 9004, 9005, 9006, 9007, 9008];
const [BID, ASK, LAST, CLOSE, BID_SIZE, ASK_SIZE] = [1, 2, 4, 9, 0, 3];

const ib = new IBApi({ host: "127.0.0.1", port: Number(port), clientId: 7 });
const waiting = new Set();
const ended = new Set();
const names = new Map();
const heard = { orders: {}, errors: {} };

/** Listen to an event, and look after each whether what is waited for now holds. */
function on(event, listener) {
  ib.on(event, (...told) => {
    listener(...told);
    for (const look of [...waiting]) look();
  });
}

function until(holds, what) {
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`no ${what} in time`)), DEADLINE);
    const look = () => {
      if (!holds()) return;
      waiting.delete(look);
      clearTimeout(timer);
      done();
    };
    waiting.add(look);
    look();
  });
}

async function answered(what) {
  await until(() => ended.has(what), what);
  ended.delete(what);
}

const history = [];
const ticks = {};
const bars = [];
const ladder = [[], []]; // asks, bids
let dataType, listing;
const open = [];
const fills = new Map();
const paid = new Map();
const executed = [];
const completed = [];
const endings = [];
let positions = [];
let details, nextId, time;

on(EventName.error, (error, code, about) => {
  if (about >= 0) (heard.errors[names.get(about) ?? "request"] ??= []).push(code);
  // What the library itself cannot read carries a code of its own below zero or above TWS's.
  else if (code < 2100 || code > 2169) (heard.errors.library ??= []).push([code, error.message]);
  ended.add(about);
});
on(EventName.server, (version) => (heard.version = version));
on(EventName.managedAccounts, (list) => (heard.accounts = list.split(",").filter(Boolean)));
on(EventName.nextValidId, (id) => (nextId = id));
on(EventName.currentTime, (seconds) => (time = seconds));
on(EventName.contractDetails, (_request, told) => (details = told));
on(EventName.contractDetailsEnd, (request) => ended.add(request));
on(EventName.accountSummary, (_request, _account, tag, value, currency) => {
  heard.summary = { ...heard.summary, [tag]: [value, currency] };
});
on(EventName.accountSummaryEnd, (request) => ended.add(request));
on(EventName.historicalData, (request, at, o, h, l, c, volume, count, average) => {
  if (at.startsWith("finished")) ended.add(request);
  else history.push([Number(at), o, h, l, c, volume, average, count]);
});
on(EventName.marketDataType, (_request, kind) => (dataType = kind));
on(EventName.tickPrice, (_request, kind, price) => (ticks[kind] = price));
on(EventName.tickSize, (_request, kind, size) => (ticks[kind] = size));
on(EventName.realtimeBar, (_request, ...bar) => bars.push(bar));
function changeLadder(position, operation, side, price, size) {
  const replaced = operation === 0 ? 0 : 1;
  ladder[side].splice(position, replaced, ...(operation === 2 ? [] : [[price, size]]));
}
on(EventName.updateMktDepth, (_request, ...change) => changeLadder(...change));
on(EventName.updateMktDepthL2, (_request, position, _maker, ...change) => changeLadder(position, ...change));
on(EventName.orderStatus, (id, status) => {
  const said = (heard.orders[names.get(id) ?? "?"] ??= []);
  if (said.at(-1) !== status) said.push(status);
});
on(EventName.openOrder, (_id, _contract, order) => {
  if (listing) open.push([order.orderType, order.lmtPrice, order.totalQuantity, order.tif, order.orderRef]);
});
on(EventName.openOrderEnd, () => ended.add("open orders"));
on(EventName.execDetails, (request, _contract, fill) => {
  if (request === EXECUTIONS) return void executed.push(fill.execId);
  fills.set(fill.execId, {
    order: names.get(fill.orderId),
    execId: fill.execId,
    side: fill.side,
    shares: fill.shares,
    price: fill.price,
    cumulative: fill.cumQty,
    account: fill.acctNumber,
    time: fill.time,
  });
});
on(EventName.execDetailsEnd, (request) => ended.add(request));
on(EventName.commissionReport, ({ execId, commission, currency, realizedPNL }) => {
  paid.set(execId, { commission, currency, realized: realizedPNL });
});
on(EventName.completedOrder, (_contract, order, state) => {
  completed.push([order.action, order.orderType, order.totalQuantity, order.filledQuantity, state.status]);
  endings.push([state.completedTime, state.completedStatus]);
});
on(EventName.completedOrdersEnd, () => ended.add("completed orders"));
on(EventName.position, (_account, contract, shares, average) => positions.push([contract.symbol, shares, average]));
on(EventName.positionEnd, () => ended.add("positions"));

const share = (symbol) => ({ symbol, secType: SecType.STK, exchange: "SMART", currency: "USD" });

function place(name, order) {
  const id = nextId++;
  names.set(id, name);
  ib.placeOrder(id, details.contract, { transmit: true, ...order });
  return id;
}

const reaches = (name, status) => until(() => heard.orders[name]?.at(-1) === status, `${name} ${status}`);

/** Wait until every share and every commission has arrived. */
async function isPaid(name, quantity) {
  await reaches(name, "Filled");
  await until(() => {
    const mine = [...fills.values()].filter((fill) => fill.order === name);
    const shares = mine.reduce((sum, fill) => sum + fill.shares, 0);
    return shares === quantity && mine.every((fill) => paid.has(fill.execId));
  }, `commission of ${name}`);
}

async function reference() {
  ib.reqCurrentTime();
  await until(() => time, "time");
  heard.time = time;
  ib.reqContractDetails(NOPE, share("NOPE"));
  await answered(NOPE);
  ib.reqContractDetails(DETAILS, share("AAPL"));
  await answered(DETAILS);
  const { contract, minTick, tradingHours, timeZoneId, longName } = details;
  const { conId, currency, primaryExch } = contract;
  heard.contract = { conId, currency, primaryExchange: primaryExch, minTick, tradingHours, timeZoneId, longName };
  ib.reqAccountSummary(SUMMARY, "All", TAGS);
  await answered(SUMMARY);
  ib.cancelAccountSummary(SUMMARY);
}

async function marketData() {
  const { contract } = details;
  ib.reqHistoricalData(
    HISTORY, contract, "20260112-21:00:00", "1 D", BarSizeSetting.MINUTES_ONE, WhatToShow.TRADES, 1, 2, false,
  );
  await answered(HISTORY);
  heard.history = { count: history.length, first: history[0], last: history.at(-1) };

  ib.reqMktData(QUOTE, contract, "", false, false);
  await until(() => ticks[BID] > 0 && ticks[ASK] > 0 && ticks[LAST] > 0, "quote");
  ib.cancelMktData(QUOTE);
  heard.quote = {
    type: dataType, close: ticks[CLOSE], bid: ticks[BID], ask: ticks[ASK], sizes: [ticks[BID_SIZE], ticks[ASK_SIZE]],
  };

  ib.reqRealTimeBars(BARS, contract, 5, WhatToShow.TRADES, true);
  await until(() => bars.length >= 2, "bars");
  ib.cancelRealTimeBars(BARS);
  heard.bars = bars.slice(0, 2);

  ib.reqMktDepth(DEPTH, contract, 5, true);
  await until(() => ladder.every((side) => side.length >= 5), "depth");
  ib.cancelMktDepth(DEPTH, true);
  const [asks, bids] = ladder.map((side) => [...side]);
  heard.depth = { bids, asks };
}

async function orders() {
  const { BUY, SELL } = OrderAction;
  const { MKT, LMT, STP } = OrderType;

  place("market", { action: BUY, orderType: MKT, totalQuantity: 10 });
  await isPaid("market", 10);

  const limit = { action: BUY, orderType: LMT, totalQuantity: 5, lmtPrice: 100, tif: "GTC", orderRef: "low", transmit: true };
  const limitId = place("limit", limit);
  await reaches("limit", "Submitted");
  ib.placeOrder(limitId, details.contract, { ...limit, lmtPrice: 101, totalQuantity: 7 });
  // What the change itself makes the gateway say must not pass for the list.
  time = undefined;
  ib.reqCurrentTime();
  await until(() => time, "time");
  listing = true;
  ib.reqOpenOrders();
  await answered("open orders");
  listing = false;
  heard.open = open;
  ib.cancelOrder(limitId);
  await reaches("limit", "Cancelled");

  const lmtPrice = Math.round((heard.depth.asks[0][0] + 5) * 100) / 100;
  const parentId = place("parent", { action: BUY, orderType: LMT, totalQuantity: 10, lmtPrice, transmit: false });
  const leg = { action: SELL, totalQuantity: 10, parentId };
  place("target", { ...leg, orderType: LMT, lmtPrice: 300, transmit: false });
  const stop = place("stop", { ...leg, orderType: STP, auxPrice: 100 });
  await isPaid("parent", 10);
  await reaches("target", "Submitted");
  ib.cancelOrder(stop);
  await reaches("stop", "Cancelled");
  await reaches("target", "Cancelled");

  heard.positions = await held();
  place("sell", { action: SELL, orderType: MKT, totalQuantity: 20 });
  await isPaid("sell", 20);
  heard.positions_after = (await held()).filter(([, shares]) => shares);
}

async function held() {
  positions = [];
  ib.reqPositions();
  await answered("positions");
  ib.cancelPositions();
  return positions;
}

async function afterwards() {
  ib.reqExecutions(EXECUTIONS, {});
  await answered(EXECUTIONS);
  ib.reqCompletedOrders(false);
  await answered("completed orders");
  heard.fills = [...fills.values()].map((fill) => ({ ...fill, ...paid.get(fill.execId) }));
  heard.executions = executed;
  heard.completed = completed;
  heard.endings = endings;
}

ib.connect();
await until(() => nextId && heard.accounts, "connection");
await reference();
await marketData();
await orders();
await afterwards();
console.log(JSON.stringify(heard));
ib.disconnect();
