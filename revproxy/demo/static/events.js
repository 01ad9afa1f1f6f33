// Listens to the events until somebody leaves.
import { append, command, element, say } from "./common.js";

let source = null;

command("curl -N", "events/stream");
element("start").addEventListener("click", listen);
element("stop").addEventListener("click", leave);

function busy(yes) {
  element("start").disabled = yes;
  element("stop").disabled = !yes;
}

function listen() {
  source = new EventSource("events/stream");
  busy(true);
  say("Connecting …");
  source.onopen = () => say("Listening.");
  source.onerror = () => say("The connection was lost; the browser tries again.");
  source.addEventListener("tick", (event) => {
    const when = document.createElement("span");
    when.className = "when";
    when.textContent = new Date().toLocaleTimeString();
    const row = document.createElement("li");
    row.append(when, event.data);
    append(element("events"), row);
  });
}

function leave() {
  source.close();
  busy(false);
  say("Left.");
}
