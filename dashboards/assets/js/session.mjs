// A page whose session has ended is led to the sign-in, instead of standing still with old values.

/** From now on an own request that is answered 401 calls `leave`. `scope` is the window. */
export function watch(scope, leave) {
  const ask = scope.fetch.bind(scope);
  scope.fetch = async (...request) => {
    const answer = await ask(...request);
    if (answer.status === 401) leave();
    return answer;
  };
}
