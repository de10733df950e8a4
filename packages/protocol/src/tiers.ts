/** How far a caller may go. One ladder serves every surface. */

export const TIERS = ["readonly", "write", "full", "admin"] as const;
export type Tier = (typeof TIERS)[number];

/** True when `held` reaches `needed`. */
export function reaches(held: Tier, needed: Tier): boolean {
  return TIERS.indexOf(held) >= TIERS.indexOf(needed);
}
