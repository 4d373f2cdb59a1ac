// A document small enough to read: what bind.mjs and age.mjs use, and a count of every write.

export class Element {
  constructor(tag, attributes = {}, children = []) {
    this.tagName = tag;
    this.attributes = new Map(Object.entries(attributes));
    this.children = [];
    this.ownerDocument = { createElement: (name) => new Element(name) };
    this.isConnected = true;
    this.writes = 0;
    const properties = new Map();
    this.style = {
      getPropertyValue: (name) => properties.get(name) ?? "",
      setProperty: (name, value) => {
        this.writes++;
        if (value === "") properties.delete(name);
        else properties.set(name, value);
      },
    };
    this.append(...children);
  }

  #text = "";
  get textContent() {
    return this.children.length ? this.children.map((c) => c.textContent).join("") : this.#text;
  }
  set textContent(text) {
    this.writes++;
    this.#text = text;
  }

  append(...children) {
    for (const child of children) {
      child.parent = this;
      this.children.push(child);
    }
  }
  remove() {
    this.parent.children.splice(this.parent.children.indexOf(this), 1);
  }
  get lastElementChild() {
    return this.children.at(-1);
  }

  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }
  hasAttribute(name) {
    return this.attributes.has(name);
  }
  setAttribute(name, value) {
    this.writes++;
    this.attributes.set(name, String(value));
  }
  removeAttribute(name) {
    this.attributes.delete(name);
  }
  toggleAttribute(name, on) {
    this.writes++;
    if (on) this.attributes.set(name, "");
    else this.attributes.delete(name);
  }

  /** Only `[attribute]`. */
  querySelectorAll(selector) {
    const name = selector.slice(1, -1);
    return this.children.flatMap((c) => [...(c.hasAttribute(name) ? [c] : []), ...c.querySelectorAll(selector)]);
  }
}

/** All writes below an element. */
export const writes = (element) => element.writes + element.children.reduce((sum, c) => sum + writes(c), 0);
