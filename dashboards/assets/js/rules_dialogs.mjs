// The questions that the thresholds page asks: why it is saved, what to do about somebody else's change, which version.

import { fill, h } from "./element.mjs";

/** A modal dialog. `buttons`: [[label, value, kind]]; resolves to the value of the one pressed, null when it is left. */
export function dialog(title, body, buttons, { wide = false } = {}) {
  return new Promise((done) => {
    const made = h("dialog", { class: `rules-dialog${wide ? " rules-wide-dialog" : ""}`, "aria-label": title });
    const foot = buttons.map(([label, value, kind]) =>
      h("button", { type: "button", class: `rules-button ${kind ?? ""}`, onclick: () => (made.close(), done(value)) }, label),
    );
    made.append(h("h2", {}, title), h("div", { class: "rules-dialog-body" }, body), h("div", { class: "rules-dialog-foot" }, foot));
    made.addEventListener("cancel", () => done(null));
    made.addEventListener("close", () => made.remove());
    document.querySelector(".desk").append(made);
    made.showModal();
  });
}

/** Differences as a table: rule, place, before, after. `both`: keys to be marked. */
export function differences(changes, words, both = () => false) {
  if (!changes.length) return h("p", { class: "desk-none" }, words.noDifference);
  return h(
    "table",
    { class: "rules-diff" },
    changes.map((c) => {
      const [label, before, after] = c.key ? [c.label, c.before, c.after] : [c.before === null ? words.added : words.removed, null, null];
      return h(
        "tr",
        {},
        h("th", {}, c.name, h("small", {}, c.rule)),
        h("td", {}, label, both(c) ? h("em", {}, words.bothChanged) : null),
        c.key ? h("td", {}, h("del", {}, shown(before)), " → ", h("ins", {}, shown(after))) : h("td", {}),
      );
    }),
  );
}

const shown = (v) => (v === null || v === undefined ? "—" : typeof v === "object" ? JSON.stringify(v).replaceAll('"', "") : String(v));

/** {reason} or null. */
export async function askReason(title, words, label, more = null) {
  const text = h("textarea", { rows: 2, placeholder: words.reasonHint, "aria-label": words.reason, class: "rules-reason" });
  const found = await dialog(title, [more, h("label", {}, words.reason, text)], [
    [words.cancel, null],
    [label, "yes", "rules-primary"],
  ]);
  return found === "yes" ? text.value : null;
}

/** What to do when another version was saved meanwhile: "rebase", "drop" or null. */
export function askConflict(conflict, words, both) {
  const body = [h("p", {}, fill(words.conflictText, conflict)), differences(conflict.changes, words, both)];
  return dialog(
    words.conflictTitle,
    body,
    [
      [words.cancel, null],
      [words.drop, "drop"],
      [words.rebase, "rebase", "rules-primary"],
    ],
    { wide: true },
  );
}

/** The versions, each with its difference on demand; resolves to the version to be put in force again, or null. */
export function askVersion(versions, words, { diff, when, may }) {
  let close = () => {};
  return new Promise((done) => {
    const shownDiff = h("div", { class: "rules-version-diff" });
    const show = async (from, to) => shownDiff.replaceChildren(differences(await diff(from, to), words));
    const now = versions[0]?.version;
    const rows = versions.map((v) =>
      h(
        "tr",
        { "data-version": v.version },
        h("td", {}, String(v.version)),
        h("td", {}, when(v.at)),
        h("td", {}, v.author),
        h("td", {}, v.reason, v.restores ? h("small", {}, `（${fill(words.restores, { n: v.restores })}）`) : null),
        h(
          "td",
          {},
          h("button", { type: "button", class: "rules-small", onclick: () => show(v.version - 1, v.version) }, words.compareWith),
          v.version === now ? null : h("button", { type: "button", class: "rules-small", onclick: () => show(v.version, now) }, words.compareNow),
          v.version === now ? null : h("button", { type: "button", class: "rules-small", disabled: !may, title: may ? null : words.mayNot, onclick: () => close(v.version) }, words.rollback),
        ),
      ),
    );
    const pick = (value) => {
      document.querySelector(".rules-versions-dialog")?.closest("dialog")?.close();
      done(value);
    };
    close = pick;
    const body = h("div", { class: "rules-versions-dialog" }, h("table", { class: "rules-versions" }, rows), shownDiff);
    dialog(words.historyTitle, body, [[words.close, null]], { wide: true }).then(() => done(null));
  });
}

/** A TOML file looked at before it is put in force: {rules, base, reason} or null. `look(toml)` says what it would change. */
export function askImport(words, look, may) {
  const said = h("div", { class: "rules-import-said" });
  const reason = h("textarea", { rows: 2, placeholder: words.reasonHint, "aria-label": words.reason, class: "rules-reason" });
  let found = null;
  const file = h("input", {
    type: "file",
    accept: ".toml,text/plain",
    "aria-label": words.choose,
    onchange: async () => {
      found = null;
      const { status, body } = await look(await file.files[0].text());
      if (status !== 200) return said.replaceChildren(h("p", { class: "rules-bad" }, body.error ?? words.lost));
      const wrong = body.problems.map((p) => h("p", { class: "rules-bad" }, `${p.rule}: ${p.text}`));
      if (!wrong.length) found = body;
      said.replaceChildren(...wrong, h("p", {}, words.importText), differences(body.changes, words));
    },
  });
  const body = [file, said, h("label", {}, words.reason, reason)];
  const buttons = [[words.cancel, null], ...(may ? [[words.apply, "yes", "rules-primary"]] : [])];
  return dialog(words.importTitle, body, buttons, { wide: true }).then((answer) =>
    answer === "yes" && found ? { rules: found.rules, base: found.base ?? found.current, reason: reason.value } : null,
  );
}
