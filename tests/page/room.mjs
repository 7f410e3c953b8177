/** A room as the page's tests start with it. */

export const ANA = { id: "aa".repeat(32), name: "ana" };

/** What the page is told first, in an empty room with nobody else. */
export function snapshot(fields = {}) {
  return {
    event: "snapshot",
    self: { ...ANA, temporary: false, version: "0.1.0" },
    room: { id: "r1", locked: false, settled: true },
    addresses: [],
    members: [{ ...ANA, address: "", linked: true, own: true }],
    messages: [],
    earlier: 0,
    held: [],
    files: [],
    transfers: [],
    saved: [],
    ...fields,
  };
}
