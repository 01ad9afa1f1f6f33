// Asks for a failing page, and tells how far its answer came.
import { element, read, say } from "./common.js";

for (const button of document.querySelectorAll("#cases button")) {
  button.addEventListener("click", () => ask(button.dataset.address));
}

async function ask(address) {
  const body = element("answer");
  const decoder = new TextDecoder();
  body.textContent = "";
  say("Asking …");
  body.scrollIntoView({ block: "nearest" });
  let answer;
  try {
    answer = await fetch(address, { cache: "no-store", headers: { accept: "application/json, text/plain;q=0.9" } });
  } catch {
    say("No answer: the connection was closed.");
    return;
  }
  const head = `${answer.status} ${answer.statusText}`;
  say(`${head}; reading …`);
  try {
    await read(answer, (chunk) => { body.textContent += decoder.decode(chunk, { stream: true }); });
    say(`${head}; the answer is complete.`);
  } catch {
    say(`${head}; then the connection was cut, so the browser knows that the answer is not complete.`);
  }
}
