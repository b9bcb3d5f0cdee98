/** Types of flask-ailydian's components; see ailydian.js. React: also name ailydian-react.d.ts. */

/** The body of every error, and `offline` or `unreadable` where there was none. */
export interface AilydianProblem {
  error: string;
  status: number;
  title: string;
  detail?: string;
  fields?: Record<string, unknown>;
  id?: string;
  /** Seconds after which trying again makes sense. */
  retryAfter?: number;
}

/** A model as `GET /models` shows it; `name` is enough. */
export interface AilydianModel {
  name: string;
  version?: string;
  status?: "active" | "inactive" | "testing";
  task?: string;
  domain?: string;
  labels?: string[];
  description?: string | null;
}

export interface AilydianExplanation {
  method: "cam" | "occlusion";
  class: string;
  /** Which part of the picture the grid covers, from its middle; `size` is height and width. */
  frame: { fit: "cover" | "contain" | "stretch"; size: [number, number]; upright: boolean };
  grid: number[][];
}

/** What `POST /inference` answers. */
export interface AilydianPrediction {
  success: true;
  id: string;
  model: { name: string; version: string; type: string; domain: string; status: string };
  cached?: boolean;
  prediction?: string;
  confidence?: string;
  probabilities?: Record<string, { probability: number; percentage: string }>;
  explanation?: AilydianExplanation;
  outputs?: Record<string, unknown>;
  performance: { preprocessing_ms: number; inference_ms: number; total_ms: number };
}

/** What `POST /query` answers. */
export interface AilydianAnswer {
  success: true;
  id: string;
  answer: string;
  backend: "onnx" | "3rdparty" | "3rdparty-fallback" | "onnx-fallback";
  reason: string;
  model: string | null;
  classification: {
    score: number;
    complexity: "simple" | "medium" | "complex";
    features: Record<string, unknown>;
    parts: { feature: string; points: number; because: string }[];
    thresholds: { simple: number; medium: number };
    profile: string;
    rule_version: number;
  };
  /** The paid service that answered, where there are several. */
  provider?: string;
  tried?: Record<string, string>;
  cached?: boolean;
  cost: { estimated: number; actual: number; saved: number; currency: string };
  performance: { routing_ms: number; backend_ms: number; total_ms: number };
}

/** What `GET /metrics/daily` answers, as far as it is drawn. */
export interface AilydianDays {
  from: string;
  to: string;
  days: {
    date: string;
    model: string;
    version: string;
    total_requests: number;
    successful_requests: number;
    failed_requests: number;
    p50_inference_time_ms: number | null;
    p95_inference_time_ms: number | null;
    p99_inference_time_ms: number | null;
    accuracy: number | null;
    cost_usd: number | null;
  }[];
}

/** What the events carry. */
export interface AilydianEvents {
  "ailydian-prediction": CustomEvent<{ answer: AilydianPrediction; file?: File; text?: string }>;
  "ailydian-answer": CustomEvent<{ answer: AilydianAnswer; query: string }>;
  "ailydian-rating": CustomEvent<{ id: string; rating: number }>;
  "ailydian-error": CustomEvent<AilydianProblem & { file?: File; text?: string; query?: string }>;
}

declare class AilydianElement extends HTMLElement {
  /** Where the routes are; by default beside this module. Attribute `endpoint`. */
  endpoint: string | null;
  /** Name of the header for the host's token, `X-CSRFToken` by default. Attribute `csrf-header`. */
  csrfHeader: string | null;
  /** The host's token; by default `<meta name="csrf-token">`. Attribute `csrf-token`. */
  csrfToken: string | null;
  /** Whom the answers are about, as your opaque id. Attribute `user-id`. */
  userId: string | null;
  /** Further headers of every request; no attribute. */
  headers: Record<string, string> | null;
  addEventListener<K extends keyof AilydianEvents>(
    type: K,
    listener: (this: this, event: AilydianEvents[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<K extends keyof HTMLElementEventMap>(
    type: K,
    listener: (this: HTMLElement, event: HTMLElementEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** `<ailydian-panel>`: choose a model, give it a picture or a text, see its answer. */
export class AilydianPanel extends AilydianElement {
  /** The name of the one model that is asked. Attribute `model`. */
  model: string | null;
  /** Attribute `model-version`. */
  modelVersion: string | null;
  /** What may be chosen, instead of asking `GET /models`. Attribute `models`, as JSON. */
  models: AilydianModel[] | null;
  /** Whether a heat map is asked for. Attribute `explain`. */
  explain: boolean;
  /** Whether several pictures may be chosen at once. Attribute `multiple`. */
  multiple: boolean;
  /** How many classes are listed. Attribute `top-k`. */
  topK: number | null;
  readonly answer: AilydianPrediction | null;
  readonly busy: boolean;
  choose(files: Iterable<File>): Promise<void>;
  run(): Promise<void>;
  cancel(): void;
  reset(): void;
}

/** `<ailydian-ask>`: ask a question, watch the answer come, see who gave it and what it cost. */
export class AilydianAsk extends AilydianElement {
  /** `chat` by default. Attribute `domain`. */
  domain: "chat" | "medical" | "legal" | "civic" | null;
  /** `auto` by default. Attribute `backend`. */
  backend: "auto" | "onnx" | "3rdparty" | null;
  placeholder: string | null;
  readonly answer: AilydianAnswer | null;
  readonly busy: boolean;
  send(text?: string): Promise<void>;
  cancel(): void;
  reset(): void;
}

/** `<ailydian-trend>`: a model's days as a chart, with the numbers in a table behind it. */
export class AilydianTrend extends AilydianElement {
  /** Attribute `model`; every model without it. */
  model: string | null;
  /** Which version is shown first. Attribute `version`. */
  version: string | null;
  /** `requests` by default. Attribute `metric`. */
  metric: "requests" | "latency" | "accuracy" | "cost" | null;
  /** By default what suits the metric. Attribute `kind`. */
  kind: "bars" | "line" | null;
  /** How many days, 28 by default. Attribute `days`. */
  days: number | null;
  /** The days themselves, instead of asking for them. Attribute `data`, as JSON. */
  data: AilydianDays | null;
  refresh(): Promise<void>;
}

declare global {
  interface HTMLElementTagNameMap {
    "ailydian-panel": AilydianPanel;
    "ailydian-ask": AilydianAsk;
    "ailydian-trend": AilydianTrend;
  }
}
