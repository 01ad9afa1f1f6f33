// Orders to the proxy. What takes something away is asked about first; what came of it is said below the buttons.

class Orders {
  // done: called after an order that changed something.
  constructor(done) {
    this.done = done;
    this.place = find("#outcome");
    find("#plan").addEventListener("click", () => this.give("What a reload would change", "reload", { plan: true }));
    find("#reload").addEventListener("click", () => this.give("Reload", "reload", { plan: false }));
    find("#rollback").addEventListener("click", () =>
      this.ask("Roll back?", "The configuration before this one comes into force again. Connections stay.", "Roll back", "rollback"),
    );
    find("#drain").addEventListener("click", () =>
      this.ask("Drain and stop?", "No new connection is accepted, what is in flight may end, then the proxy stops. Nobody is served afterwards.", "Drain and stop", "drain"),
    );
    find("#purge-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const { kind, value } = event.target.elements;
      const given = value.value.trim();
      if (given) this.give(`Purge ${given}`, "purge", { [kind.value]: given });
      else value.focus();
    });
    const examples = { url: "https://example.com/page", prefix: "https://example.com/images/", host: "example.com", tag: "article-7", group: "https://example.com news" };
    find("#purge-form").elements.kind.addEventListener("change", (event) => find("#purge-form").elements.value.setAttribute("placeholder", examples[event.target.value]));
  }

  async ask(title, text, yes, path) {
    if (await confirmed(title, text, yes)) await this.give(yes, path, {});
  }

  async mark(upstream, server, state) {
    const name = shortened(server, 120);
    const words =
      state === "down"
        ? [`Take ${name} out?`, `No new request goes to it, in any worker, until it is brought back. Those in flight may end.`, "Take out"]
        : [`Bring ${name} back?`, "It gets requests again.", "Bring back"];
    if (await confirmed(...words)) await this.give(`${words[2]} ${name}`, "peers", { upstream, server, state });
  }

  async give(title, path, body) {
    this.place.setAttribute("aria-busy", "true");
    try {
      const value = await call(path, body);
      fill(this.place, h("p.title.good", null, `${title}: ${value.text ?? "done"}`), changes(value.plan));
    } catch (error) {
      fill(this.place, h("p.title.bad", null, `${title}: not done`), refusal(error));
    } finally {
      this.place.removeAttribute("aria-busy");
    }
    this.place.scrollIntoView({ block: "nearest" });
    this.done();
  }
}

function changes(plan) {
  if (!plan?.length) return null;
  const kinds = { added: "good", removed: "bad", changed: "info" };
  return h(
    "ul",
    null,
    plan.map((one) =>
      h(
        "li",
        null,
        badge(`${kinds[one.change] ?? "info"}.plain`, one.change),
        ` ${one.kind} `,
        h("b", null, one.name ?? ""),
        one.detail ? `: ${one.detail}` : "",
        one.touches ? ` (touches ${number(one.touches)})` : "",
        one.place ? [" ", h("code.note", null, one.place)] : null,
      ),
    ),
  );
}
