// What a person may do: each command is confirmed in a dialog that says what it will do, and answered on the page.

const $ = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=token]").content;

/** Whether this page has a way to the daemon. */
export const armed = token !== "";

let chosen = null;

/** Ask for confirmation of a command: `{title, words, body, verb, reason, until}`; `reason` says that one must be given. */
export function confirm(command) {
  chosen = command;
  $("confirm-title").textContent = command.title;
  $("confirm-words").textContent = command.words;
  $("confirm-go").textContent = command.verb;
  $("confirm-go").className = command.gentle ? "" : "grave";
  $("confirm-reason").value = "";
  $("confirm-reason").required = Boolean(command.reason);
  $("confirm-reason-label").textContent = command.reason ? "Reason (is recorded)" : "Reason (is recorded; may be left out)";
  $("confirm-until").value = "";
  $("confirm-until").required = Boolean(command.until);
  $("confirm-until-row").hidden = !command.until;
  $("confirm").showModal();
  $("confirm-reason").focus();
}

async function go(event) {
  event.preventDefault();
  const command = chosen;
  $("confirm").close();
  const body = { ...command.body, reason: $("confirm-reason").value.trim() };
  if (command.until) body.until = $("confirm-until").value.trim();
  say(`${command.title}: asked …`, "");
  const [words, tone] = await post(body);
  say(`${command.title}: ${words}`, tone);
}

async function post(body) {
  try {
    const answer = await fetch("/api/v1/commands", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-RoboTrader-Token": token },
      body: JSON.stringify(body),
    });
    const said = await answer.json();
    if (!answer.ok) return [said.detail ?? said.title, "loss"];
    return [said.said?.join("; ") || (said.rows ? table(said.rows) : "done"), said.done === false ? "lively" : "gain"];
  } catch {
    return ["the page's server does not answer; use `robo-trader kill` in a terminal", "loss"];
  }
}

const table = (rows) => rows.map((row) => `${row.symbol} ours ${row.ours}, broker ${row.broker}`).join("; ") || "both sides are flat";

function say(words, tone) {
  $("answer").hidden = false;
  $("answer-words").textContent = words;
  $("answer-words").className = tone;
}

$("confirm-form").addEventListener("submit", go);
$("confirm-back").addEventListener("click", () => $("confirm").close());
$("answer-close").addEventListener("click", () => { $("answer").hidden = true; });
