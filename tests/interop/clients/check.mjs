// The lines that a script prints: PASS or FAIL for each check, and the count at the end. tests/outside_clients.rs reads them.

let passed = 0;
let failed = 0;

// An error in words: openid-client puts what the authority said into `error` and `cause`.
function reason(error) {
  const parts = [error?.code, error?.error, error?.error_description, error?.cause?.error, error?.cause?.message, error?.message];
  const words = parts.filter((part, index) => typeof part === 'string' && parts.indexOf(part) === index);
  return words.join(' | ') || String(error);
}

export function assert(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}

export async function check(name, run) {
  try {
    const result = await run();
    passed += 1;
    console.log(`PASS ${name}${typeof result === 'string' ? ` (${result})` : ''}`);
    return result ?? true;
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${reason(error)}`);
    return undefined;
  }
}

// A check without which the rest makes no sense.
export async function need(name, run) {
  const result = await check(name, run);
  if (result === undefined) done();
  return result;
}

// Passes when `run` is refused for a reason of this pattern.
export async function refused(name, pattern, run) {
  await check(name, async () => {
    let result;
    try {
      result = await run();
    } catch (error) {
      assert(pattern.test(reason(error)), `refused, but with: ${reason(error)}`);
      return reason(error).slice(0, 100);
    }
    throw new Error(`not refused: ${JSON.stringify(result)?.slice(0, 200)}`);
  });
}

export function done() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
