/** Lets TypeScript know the components in JSX, for React 19 and later. */
import type { DetailedHTMLProps, HTMLAttributes } from "react";
import type { AilydianAsk, AilydianEvents, AilydianPanel, AilydianTrend } from "./ailydian.js";

type Handlers = { [K in keyof AilydianEvents as `on${K}`]?: (event: AilydianEvents[K]) => void };
/** What a component takes beyond what every element takes. */
type Own<E extends HTMLElement> = Partial<Omit<E, keyof HTMLElement>>;
type Props<E extends HTMLElement> = DetailedHTMLProps<HTMLAttributes<E>, E> & Own<E> & Handlers;

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "ailydian-panel": Props<AilydianPanel>;
      "ailydian-ask": Props<AilydianAsk>;
      "ailydian-trend": Props<AilydianTrend>;
    }
  }
}
