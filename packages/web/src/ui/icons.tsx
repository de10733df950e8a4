/** The few line icons of the page, drawn here so that no font or sprite has to load. */
import type { JSX } from "preact";

const PATHS = {
  inbox: "M4 13h4l1.5 3h5L16 13h4M5.5 5h13L21 13v6H3v-6L5.5 5Z",
  agents: "M4 6h16M4 12h16M4 18h16",
  plus: "M12 5v14M5 12h14",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  back: "M15 5l-7 7 7 7",
  close: "M6 6l12 12M18 6L6 18",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM20 20l-4-4",
  stop: "M7 7h10v10H7z",
  play: "M8 5l11 7-11 7V5Z",
  send: "M5 12h13M12 5l7 7-7 7",
  enter: "M19 6v6a2 2 0 0 1-2 2H6M10 10l-4 4 4 4",
  chevron: "M8 10l4 4 4-4",
  pin: "M9 4h6l-1 6 3 3H7l3-3-1-6ZM12 13v7",
  gear: "M4 7h9M17 7h3M4 17h3M11 17h9M15 7a2 2 0 1 0 0-.01M9 17a2 2 0 1 0 0-.01",
} as const;
export type IconName = keyof typeof PATHS;

/** Decorative: the control around it carries the name. */
export function Icon({ name, size = 20 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark: one eye of the peacock's tail. */
export function Mark({ size = 28 }: { size?: number }): JSX.Element {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false" class="mark">
      <path d="M16 1.5c5.2 6 10.5 10.4 10.5 17.2a10.5 10.5 0 0 1-21 0C5.5 11.9 10.8 7.5 16 1.5Z" fill="var(--mark)" />
      <circle cx="16" cy="18.8" r="6.6" fill="var(--bg)" />
      <circle cx="16" cy="18.8" r="3" fill="var(--mark)" />
    </svg>
  );
}
