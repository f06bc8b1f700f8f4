// The commands of the page, each with what it means for the positions and orders of this moment.

import { count, money } from "./format.js";

/** What closing a position means, in words. */
function closing(row) {
  const worth = row.last ? `, about ${money(Math.abs(row.quantity * row.last))} USD` : "";
  return `${row.quantity > 0 ? "Sells" : "Buys back"} ${count(Math.abs(row.quantity))} ${row.symbol} at the market${worth}.`;
}

/** Return the commands by name; `held`, `working` and `quarantines` give the rows they are about. */
export function commands({ held, working, quarantines }) {
  const one = (name) => held().find((row) => row.symbol === name);
  const remedy = (name, how, verb, words) => {
    const row = quarantines().find((found) => found.symbol === name);
    const sides = row ? `Ours ${row.ours}, broker ${row.broker}. ` : "";
    return { title: `${verb} ${name}`, verb, body: { do: "resolve", symbol: name, how }, reason: true, words: sides + words };
  };
  return {
    halt: () => ({
      title: "Halt",
      verb: "Halt now",
      body: { do: "halt" },
      words: `Nothing new is opened; of ${working().length} working orders those that would open are taken back. Positions and their stops stay. It holds over a restart until somebody resumes.`,
    }),
    reduce: () => ({
      title: "Reduce",
      verb: "Reduce only",
      body: { do: "reduce" },
      words: "Nothing new is opened. Exits, stops and what works now go on.",
    }),
    resume: () => ({
      title: "Resume",
      verb: "Resume",
      body: { do: "resume" },
      reason: true,
      gentle: true,
      words: "New positions may be opened again: what a person or a limit halted is lifted, the KILL file removed. Say what was found and mended.",
    }),
    "flatten-all": () => ({
      title: "Flatten all",
      verb: "Close everything",
      body: { do: "flatten", all: true },
      words: held().map(closing).join(" ") || "Nothing is held.",
    }),
    flatten: (name) => ({
      title: `Flatten ${name}`,
      verb: "Close it",
      body: { do: "flatten", symbol: name },
      words: one(name) ? closing(one(name)) : `Closes ${name} at the market.`,
    }),
    adopt: (name) => remedy(name, "adopt", "Adopt", "The broker is right: our books take over its position, and the symbol is traded again."),
    "flatten-theirs": (name) => remedy(name, "flatten", "Flatten", "Our books take over the broker's position, and it is closed at the market."),
    ignore: (name) => ({
      ...remedy(name, "ignore", "Ignore", "The difference is not ours to trade: it is left out of account until then, the rest of the symbol is traded."),
      until: true,
    }),
  };
}
