// An explanation in words, as the proxy gives it: for a request that happened, and for one that is asked about.

function rfcLink(words) {
  const [, digits, section] = /RFC\s*(\d{3,5})(?:[^\d]+([\d.]*\d))?/i.exec(words) ?? [];
  if (!digits) return h("span", null, words);
  const address = `https://www.rfc-editor.org/rfc/rfc${digits}${section ? `#section-${section}` : ""}`;
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, words);
}

// value: {"explanation": [{step, text, place, rfc}...], "text"}.
function explanation(value) {
  const steps = value.explanation ?? [];
  if (!steps.length) return value.text ? h("pre.verbatim", null, value.text) : h("p.note", null, "There is nothing to explain.");
  let before = null;
  return h(
    "ol.steps",
    null,
    steps.map((one) => {
      const same = one.step === before;
      before = one.step;
      return h(
        same ? "li.same" : "li",
        null,
        h("span.step", null, same ? h("span.hidden", null, one.step) : one.step),
        h(
          "div",
          null,
          h("div.text", null, one.text),
          (one.place || one.rfc) && h("div.where", null, one.place && h("code", null, one.place), one.rfc && rfcLink(one.rfc)),
        ),
      );
    }),
  );
}

function copyButton(text) {
  const button = h("button.small", { type: "button" }, "Copy as text");
  button.addEventListener("click", async () => {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      done = false; // not a secure context, or not allowed
    }
    say(button, done ? "Copied" : "Copying is not allowed here");
    setTimeout(() => say(button, "Copy as text"), 2000);
  });
  return button;
}

function refusal(error) {
  return [
    h("p.title.bad", null, error.message),
    error.mistakes?.length ? h("ul", null, error.mistakes.map((one) => h("li", null, h("code", null, one)))) : null,
  ];
}

function beginExplain() {
  const place = find("#explained");
  const form = find("#explain-form");
  let asked = 0;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { method, url, headers, client } = form.elements;
    for (const [input, what] of [[method, "a method"], [url, "a URL"]]) {
      input.setAttribute("aria-invalid", String(!input.value.trim()));
      if (!input.value.trim()) {
        fill(place, h("p.title.bad", null, `It needs ${what}.`));
        input.focus();
        return;
      }
    }
    const question = { method: method.value.trim(), url: url.value.trim(), headers: headers.value.split("\n").filter((line) => line.trim()) };
    if (client.value.trim()) question.client = client.value.trim();
    asked += 1;
    const mine = asked;
    place.setAttribute("aria-busy", "true");
    let shown;
    try {
      const value = await call("explain", question);
      shown = [explanation(value), value.text && value.explanation?.length ? h("p", null, copyButton(value.text)) : null];
    } catch (error) {
      shown = refusal(error);
    }
    if (mine !== asked) return;
    place.removeAttribute("aria-busy");
    fill(place, shown);
  });
  find("#find-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const id = find("#find-form").elements.id.value.trim();
    if (id) openTrace(id, null);
  });
}
