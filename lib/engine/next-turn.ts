/** Resolves in the next turn of the event loop: whoever else has something to do has his turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
