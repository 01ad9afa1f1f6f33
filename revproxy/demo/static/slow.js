// Shows each line of the slow answer with the time at which it came.
import { append, command, element, read, say, seconds } from "./common.js";

let abort = null;

command("curl -N", "slow/lines");
element("start").addEventListener("click", listen);
element("stop").addEventListener("click", () => abort?.abort());

async function listen() {
  abort = new AbortController();
  element("start").disabled = true;
  element("stop").disabled = false;
  element("lines").replaceChildren();
  say("Asked; waiting for the first line.");
  const started = performance.now();
  const decoder = new TextDecoder();
  let lines = 0;
  try {
    const answer = await fetch("slow/lines?lines=20", { signal: abort.signal, cache: "no-store" });
    await read(answer, (chunk) => {
      const when = document.createElement("span");
      when.className = "when";
      when.textContent = seconds(performance.now() - started);
      const row = document.createElement("div");
      row.append(when, decoder.decode(chunk, { stream: true }).trimEnd());
      append(element("lines"), row);
      lines += 1;
      say(`${lines} pieces so far.`);
    });
    say(`The end, after ${seconds(performance.now() - started)} and ${lines} pieces.`);
  } catch (error) {
    say(abort.signal.aborted ? `Stopped after ${lines} pieces.` : `Broken off: ${error.message}`);
  } finally {
    element("start").disabled = false;
    element("stop").disabled = true;
  }
}
