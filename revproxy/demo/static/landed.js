// Compares where the backend sent the browser with where it is.
import { element } from "./common.js";

const meant = new URL(element("location").textContent);
element("here").textContent = location.href;
const rewritten = meant.host !== location.host;
element("verdict").classList.add(rewritten ? "good" : "warn");
element("verdict").textContent = rewritten
  ? "You arrived, and still at the public address: the proxy rewrote the Location."
  : "You arrived at the backend's own address: no proxy in between.";
