// An application without tokens: the gateway in front of it keeps them. All that is here is a cookie which scripts cannot
// see and the browser sends by itself.

const SESSION = '/.tollgate/session';
const element = (id) => document.getElementById(id);

// What the gateway says to a request; nobody is logged in when it says 401, and `login` is where that can be changed.
async function ask(path, options) {
  const answer = await fetch(path, { headers: { accept: 'application/json' }, ...options });
  if (answer.status === 401) {
    const { login } = await answer.json();
    throw Object.assign(new Error('Please log in.'), { login });
  }
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}.`);
  return answer.json();
}

function show(session) {
  element('heading').textContent = `Welcome, ${session.claims.name ?? session.sub}`;
  element('message').textContent = session.claims.email ?? '';
  element('inside').hidden = false;
  element('outside').hidden = true;
}

function showNobody({ message, login }) {
  element('heading').textContent = 'You are not logged in';
  element('message').textContent = message;
  // What stands behind the # is known to the page alone.
  if (login) element('login').href = login + encodeURIComponent(location.hash);
  element('orders').replaceChildren();
  element('inside').hidden = true;
  element('outside').hidden = false;
}

function showOrders({ orders }) {
  const items = orders.map(({ id, item }) => {
    const line = document.createElement('li');
    line.textContent = `${id}: ${item}`;
    return line;
  });
  element('orders').replaceChildren(...items);
}

// Whatever is begun may find that the session is over, at any time.
async function attempt(deed) {
  try {
    await deed();
  } catch (failure) {
    if (failure.login) showNobody(failure);
    else element('message').textContent = failure.message;
  }
}

element('load').addEventListener('click', () => attempt(async () => showOrders(await ask('/api/orders.json'))));

// What the login server says of the person by now, such as another name: without it, that shows when the tokens are due.
element('renew').addEventListener('click', () => attempt(async () => show(await ask(SESSION, { method: 'POST' }))));

// A page that comes back from the browser's memory, as by the back button, shows what was.
window.addEventListener('pageshow', () => attempt(async () => show(await ask(SESSION))));
