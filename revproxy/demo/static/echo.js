// A chat with oneself.
import { append, element, say } from "./common.js";

let socket = null;
const sentAt = [];

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("message").value;
  if (!text || socket?.readyState !== WebSocket.OPEN) return;
  sentAt.push(performance.now());
  socket.send(text);
  add("mine", text);
  element("message").value = "";
  element("message").focus();
});
element("toggle").addEventListener("click", () => (socket ? socket.close() : connect()));
connect();

function add(kind, text) {
  const item = document.createElement("li");
  item.className = kind;
  item.textContent = text;
  append(element("log"), item);
}

function connect() {
  const address = new URL("echo/socket", location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  say("Connecting …");
  element("toggle").textContent = "Disconnect";
  socket = new WebSocket(address);
  socket.onopen = () => {
    say(`Connected to ${address}`);
    add("event", "connected");
    element("send").disabled = false;
  };
  socket.onmessage = (event) => {
    add("theirs", event.data);
    say(`Came back after ${(performance.now() - sentAt.shift()).toFixed(1)} ms.`);
  };
  socket.onclose = (event) => {
    say(`Not connected (code ${event.code}).`);
    add("event", "disconnected");
    element("send").disabled = true;
    element("toggle").textContent = "Connect";
    sentAt.length = 0;
    socket = null;
  };
}
