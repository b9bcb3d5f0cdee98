// <ailydian-panel>: choose a model, give it a picture or a text, see its answer.

import { layHeat, progress, queue, result, shareOf } from "./answer.js";
import { define, h, icon, Part, Problem } from "./base.js";
import { answering, limits, takesText } from "./models.js";
import { isDicom, mayBePicture, preview } from "./picture.js";

const ACCEPT = "image/jpeg,image/png,image/webp,image/tiff,application/dicom,.dcm,.dicom";

export class AilydianPanel extends Part {
  static twins = {
    ...Part.twins,
    model: ["model", "text"],
    "model-version": ["modelVersion", "text"],
    models: ["models", "json"],
    explain: ["explain", "flag"],
    multiple: ["multiple", "flag"],
    "top-k": ["topK", "number"],
  };

  constructor() {
    super();
    this._items = [];
    this._current = 0;
    this._text = "";
    this._opacity = 0.6;
    this._onPaste = (event) => this._paste(event);
  }

  /** The answer that is shown, or null. */
  get answer() {
    return this._items[this._current]?.answer ?? null;
  }

  /** Whether something is on its way. */
  get busy() {
    return Boolean(this._running);
  }

  connectedCallback() {
    super.connectedCallback();
    document.addEventListener("paste", this._onPaste);
    if (!this.models && !this._loaded) this._load();
  }

  disconnectedCallback() {
    document.removeEventListener("paste", this._onPaste);
    this.cancel();
    this._loading?.abort();
  }

  changed(name) {
    if (["models", "model", "modelVersion"].includes(name)) {
      this._draw();
      if (!this.models && !this._loaded) this._load();
    } else if (name === "endpoint") {
      this._loaded = undefined;
      if (!this.models) this._load();
    } else if (name === "explain") {
      this._explain.checked = this.explain;
    } else if (name === "multiple") {
      this._rebuild();
    }
  }

  // Models.

  async _load() {
    this._loading?.abort();
    const { signal } = (this._loading = new AbortController());
    this._refused = undefined;
    this._draw();
    try {
      const body = await (await this.ask("/models", { signal })).json();
      this._loaded = body.models;
    } catch (error) {
      if (signal.aborted) return;
      const problem = error instanceof Problem ? error : new Problem({ error: "unreadable" });
      // Who may ask a model may not always read the registry; a name is enough to ask.
      this._refused = problem;
      if (!this.model) this.tell("error", { ...problem });
    }
    this._draw();
  }

  _offered() {
    const all = answering(this.models ?? this._loaded ?? []);
    if (!this.model) return all;
    const { model: name, modelVersion: version } = this;
    const versions = (this.models ?? this._loaded ?? []).filter((m) => m.name === name);
    const found = version ? versions.find((m) => m.version === version) : null;
    return [found ?? all.find((m) => m.name === name) ?? { name, version }];
  }

  _model() {
    const offered = this._offered();
    return offered.find((m) => m.name === this._chosen) ?? offered[0];
  }

  // The look.

  build() {
    const words = this.words;
    this._side = h("div", { class: "side", part: "input" });
    this._modelField = h("div", { class: "field" });
    this._inputField = h("div", { class: "field" });
    this._explain = h("input", { type: "checkbox", ".checked": this.explain });
    this._explain.addEventListener("change", () => {
      this.explain = this._explain.checked;
    });
    this._explainField = h("label", { class: "tick" }, this._explain, words.explain);
    this._run = h(
      "button",
      { type: "button", class: "main", part: "button run", onclick: () => this.run() },
      words.run,
    );
    this._cancel = h(
      "button",
      { type: "button", part: "button cancel", hidden: true, onclick: () => this.cancel() },
      words.cancel,
    );
    this._reset = h(
      "button",
      { type: "button", class: "quiet", part: "button reset", onclick: () => this.reset() },
      words.reset,
    );
    const actions = h("div", { class: "actions" }, this._run, this._cancel, this._reset);
    this._side.append(this._modelField, this._inputField, this._explainField, actions);
    this._answerSide = h("div", {
      class: "answer-side",
      part: "answer",
      role: "group",
      "aria-label": words.result,
    });
    this._shownFor = undefined;
    const card = h(
      "div",
      { class: "card panel", part: "card", role: "group", "aria-label": words.panel },
      this._side,
      this._answerSide,
    );
    this._draw();
    return [card];
  }

  _draw() {
    if (!this._side) return;
    this._drawModel();
    this._drawInput();
    this._drawAnswer();
  }

  _drawModel() {
    const words = this.words;
    const offered = this._offered();
    const model = this._model();
    const parts = [];
    if (!model) {
      const waits = !this._refused && !(this.models ?? this._loaded);
      parts.push(h("p", { class: "label" }, words.model));
      if (this._refused) parts.push(this.problemBox(this._refused, () => this._load()));
      else parts.push(h("p", { class: "muted" }, waits ? words.loading : words.noModels));
    } else {
      if (offered.length > 1) {
        const select = h(
          "select",
          { id: "model", part: "select", disabled: this.busy },
          ...offered.map((m) => h("option", { value: m.name, ".selected": m === model }, m.name)),
        );
        select.addEventListener("change", () => this._choose(select.value));
        parts.push(h("label", { for: "model" }, words.model), select);
      } else {
        parts.push(
          h("p", { class: "label" }, words.model),
          h("p", { class: "strong", part: "model" }, model.name),
        );
      }
      const badges = [
        model.version ? h("span", { class: "badge" }, model.version) : null,
        model.status === "testing" ? h("span", { class: "badge warn" }, words.testing) : null,
        model.status === "active" ? h("span", { class: "badge ok" }, words.active) : null,
      ];
      parts.push(h("p", { class: "modelline" }, ...badges));
      const said = limits(model, words);
      if (said.length) {
        parts.push(
          h(
            "div",
            { class: "notice", part: "limits", role: "note" },
            icon("info"),
            h("div", {}, ...said.map((line, i) => h("p", { class: i ? "" : "strong" }, line))),
          ),
        );
      }
    }
    // Whoever chooses by the keyboard keeps the place.
    const had = this.shadowRoot.activeElement?.id === "model";
    this._modelField.replaceChildren(...parts);
    if (had) this._modelField.querySelector("select")?.focus();
  }

  _choose(name) {
    const before = takesText(this._model());
    this._chosen = name;
    if (takesText(this._model()) === before) {
      for (const item of this._items) this._forget(item);
    } else {
      this._empty();
    }
    this._draw();
  }

  _drawInput() {
    const model = this._model();
    const kind = !model ? "none" : takesText(model) ? "text" : "image";
    this._explainField.hidden = kind !== "image";
    if (this._shownFor !== kind) {
      this._shownFor = kind;
      const make = {
        none: () => [],
        text: () => this._textField(),
        image: () => this._dropField(),
      };
      this._inputField.replaceChildren(...make[kind]());
    }
    if (kind === "image") this._drawStage();
    this._drawActions();
  }

  _textField() {
    const area = h("textarea", { id: "text", part: "text", rows: 6, "aria-describedby": "hint" });
    area.value = this._text;
    area.addEventListener("input", () => {
      this._text = area.value;
      this._items = this._text.trim() ? [{ text: this._text.trim(), state: "ready" }] : [];
      this._drawAnswer();
      this._drawActions();
    });
    return [
      h("label", { for: "text" }, this.words.text),
      area,
      h("p", { class: "small muted", id: "hint" }, this.words.textHint),
    ];
  }

  _dropField() {
    const words = this.words;
    this._file = h("input", {
      type: "file",
      class: "unseen",
      tabindex: "-1",
      accept: ACCEPT,
      multiple: this.multiple,
      "aria-label": words.picture,
    });
    this._file.addEventListener("change", () => {
      const files = [...this._file.files];
      this._file.value = "";
      if (files.length) this.choose(files);
    });
    this._drop = h("div", { class: "drop", part: "drop" });
    const over = (on) => (event) => {
      event.preventDefault();
      this._drop.classList.toggle("over", on && !this.busy);
    };
    this._drop.addEventListener("dragenter", over(true));
    this._drop.addEventListener("dragover", over(true));
    this._drop.addEventListener("dragleave", over(false));
    this._drop.addEventListener("drop", (event) => {
      over(false)(event);
      const files = [...event.dataTransfer.files];
      if (files.length) this.choose(files);
    });
    return [h("p", { class: "label" }, words.picture), this._drop, this._file];
  }

  _browse() {
    if (!this.busy) this._file.click();
  }

  _drawStage() {
    const words = this.words;
    const item = this._items[this._current];
    this._drop.classList.toggle("filled", Boolean(item));
    const pick = (text) =>
      h(
        "button",
        { type: "button", class: "link", id: "pick", onclick: () => this._browse() },
        text,
      );
    const had = this.shadowRoot.activeElement?.id === "pick";
    if (!item) {
      this._drop.replaceChildren(
        h(
          "div",
          { class: "invite" },
          icon("upload"),
          h("p", { class: "strong" }, this.multiple ? words.dropMany : words.dropHere),
          h("p", {}, `${words.dropRest} `, pick(this.multiple ? words.pickMany : words.pick)),
          h("p", { class: "small muted" }, words.kinds),
        ),
      );
    } else {
      const another = h("p", { class: "small" }, pick(words.another));
      const tile = (title, more) =>
        h(
          "div",
          { class: "tile" },
          icon("file"),
          h("p", { class: "strong" }, title),
          more ? h("p", { class: "small muted" }, more) : null,
          another,
        );
      if (item.view) {
        const image = h("img", { src: item.view.address, alt: words.previewOf, part: "picture" });
        const stage = h("div", { class: "stage" }, image);
        layHeat(this, stage, item);
        this._drop.replaceChildren(h("div", {}, stage));
        this._drop.firstChild.append(h("div", { class: "tile-foot" }, another));
      } else {
        this._drop.replaceChildren(
          item.dicom ? tile(words.dicom, words.dicomMeans) : tile(words.noPreview),
        );
      }
    }
    if (had) this._drop.querySelector("#pick")?.focus();
  }

  _drawActions() {
    const words = this.words;
    const many = this._items.length > 1;
    const held = this.shadowRoot.activeElement;
    this._run.textContent = many ? words.runMany(this.number(this._items.length)) : words.run;
    this._run.hidden = this.busy;
    this._run.disabled = !this._items.length || !this._model();
    this._cancel.hidden = !this.busy;
    this._reset.hidden = this.busy || !this._items.length;
    if (held === this._run && this.busy) this._cancel.focus();
    if (held === this._cancel && !this.busy) this._run.focus();
    const select = this._modelField.querySelector("select");
    if (select) select.disabled = this.busy;
  }

  // The answer.

  _drawAnswer() {
    const words = this.words;
    const item = this._items[this._current];
    const parts = [];
    if (this._items.length > 1) parts.push(...queue(this));
    if (!item || item.state === "ready") {
      parts.push(h("p", { class: "empty" }, words.empty));
    } else if (item.state === "sending" || item.state === "working") {
      parts.push(progress(this, item));
    } else if (item.state === "cancelled") {
      parts.push(h("p", { class: "empty" }, words.cancelled));
    } else if (item.state === "failed") {
      parts.push(this.problemBox(item.problem, () => this.run([item])));
    } else {
      parts.push(...result(this, item));
    }
    const held = this.shadowRoot.activeElement?.dataset?.at;
    this._answerSide.replaceChildren(...parts);
    if (held) this._answerSide.querySelector(`[data-at="${held}"]`)?.focus();
  }

  _look(i) {
    this._current = i;
    this._drawStage();
    this._drawAnswer();
  }

  // What can be done.

  /** Takes files as the input: one, or with `multiple` as many as there are. */
  async choose(files) {
    if (this.busy || takesText(this._model())) return;
    const pictures = [...files].filter(mayBePicture);
    if (!pictures.length) {
      this.announce(this.words.notAnImage);
      const problem = new Problem({
        error: "unsupported_media_type",
        status: 415,
        title: this.words.notAnImage,
      });
      this._empty();
      this._items = [{ state: "failed", problem, file: files[0] }];
      this.tell("error", { ...problem, file: files[0] });
      this._draw();
      return;
    }
    const kept = this.multiple ? pictures : pictures.slice(0, 1);
    const turn = (this._taking = Symbol("files"));
    const items = [];
    for (const file of kept) {
      const dicom = await isDicom(file);
      items.push({ file, dicom, view: dicom ? null : await preview(file), state: "ready" });
    }
    if (turn !== this._taking) return;
    this._empty();
    this._items = items;
    this.announce(this.words.chosen(items.length));
    this._draw();
  }

  /** Asks the model about what was chosen, one input after the other. */
  async run(chosen) {
    const waiting = this._items.filter((item) => item.state !== "done");
    const todo = (chosen ?? (waiting.length ? waiting : this._items)).filter(
      (i) => i.file || i.text,
    );
    const model = this._model();
    if (this.busy || !todo.length || !model) return;
    const running = (this._running = { stopped: false });
    for (const item of todo) this._forget(item);
    for (const item of todo) {
      if (running.stopped) break;
      if (todo.length > 1) this._current = this._items.indexOf(item);
      await this._send(item, model, running);
    }
    this._running = undefined;
    this._draw();
    if (todo.length > 1 && !running.stopped) {
      const failed = todo.filter((item) => item.state === "failed").length;
      this.announce(this.words.allDone(todo.length - failed, failed));
    }
  }

  /** Gives up what is on its way; what was answered stays. */
  cancel() {
    if (!this._running) return;
    this._running.stopped = true;
    this._running.request?.abort();
    this.announce(this.words.cancelled);
  }

  /** Back to the beginning. */
  reset() {
    this.cancel();
    this._empty();
    this._text = "";
    this._shownFor = undefined;
    this._draw();
    (this._inputField.querySelector("#pick") ?? this._inputField.querySelector("#text"))?.focus();
  }

  _empty() {
    for (const item of this._items) if (item.view) URL.revokeObjectURL(item.view.address);
    this._items = [];
    this._current = 0;
  }

  _forget(item) {
    Object.assign(item, { state: "ready", answer: undefined, problem: undefined, sent: 0 });
  }

  async _send(item, model, running) {
    item.state = item.text ? "working" : "sending";
    this._draw();
    this.announce(this.words.working);
    try {
      item.answer = await this._post(item, model, running);
      item.state = "done";
      const share = shareOf(this, item.answer);
      if (share) this.announce(this.words.says(item.answer.prediction, share));
      this.tell("prediction", { answer: item.answer, file: item.file, text: item.text });
    } catch (error) {
      if (running.stopped) {
        item.state = "cancelled";
        return;
      }
      item.problem = error instanceof Problem ? error : new Problem({ error: "unreadable" });
      item.state = "failed";
      this.tell("error", { ...item.problem, file: item.file, text: item.text });
    }
    this._draw();
  }

  _post(item, model, running) {
    const url = this.url("/inference");
    const request = (running.request = new XMLHttpRequest());
    const fields = {
      model_name: model.name,
      model_version: this.modelVersion,
      user_id: this.userId,
      top_k: this.topK,
    };
    request.open("POST", url);
    for (const [name, value] of Object.entries(this.headersFor(url))) {
      request.setRequestHeader(name, value);
    }
    request.withCredentials = url.origin !== location.origin;
    const body = new FormData();
    for (const [name, value] of Object.entries(fields)) if (value) body.append(name, value);
    if (item.text) {
      body.append("text", item.text);
    } else {
      if (this.explain) body.append("explain", "true");
      // A file's own name may say who somebody is.
      body.append("image", item.file, "picture");
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable) this._went(item, event.loaded / event.total);
      });
      request.upload.addEventListener("load", () => {
        item.state = "working";
        this._drawAnswer();
      });
    }
    return new Promise((done, failed) => {
      request.addEventListener("load", () => {
        const { status, responseText } = request;
        if (status !== 200) {
          failed(Problem.of(status, responseText, request.getResponseHeader("Retry-After")));
          return;
        }
        try {
          done(JSON.parse(responseText));
        } catch (error) {
          failed(error);
        }
      });
      request.addEventListener("error", () => failed(new Problem({ error: "offline" })));
      request.addEventListener("abort", () => failed(new Problem({ error: "cancelled" })));
      request.send(body);
    });
  }

  _went(item, share) {
    item.sent = share;
    if (item.state === "sending") this._drawAnswer();
  }

  _paste(event) {
    if (event.defaultPrevented || this.busy || takesText(this._model()) || !this._model()) return;
    const target = event.composedPath()[0];
    const mine = event.composedPath().includes(this);
    if (!mine && target !== document.body && target !== document.documentElement) return;
    const files = [...(event.clipboardData?.files ?? [])].filter(mayBePicture);
    if (!files.length) return;
    event.preventDefault();
    this.choose(files);
  }
}

define("ailydian-panel", AilydianPanel);
