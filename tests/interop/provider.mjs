// The npm package `oidc-provider` as the issuer of browser logins, for tests/browser/oidc_provider.rs.
//
// Listens on a free loopback port and prints one line, {"issuer": "http://127.0.0.1:PORT"}, when it does. The application
// that it knows is at the origin in TOLLGATE_APPLICATION. People sign in with any password, and reach the authentication
// context that is asked for. Its pages have the words of the embedded authority's where a person acts on them, so that
// login-scenarios.mjs tells one story of both. Ends on SIGTERM or when its standard input closes, so that it never
// outlives the test that started it.

import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { interactionPolicy, Provider } from 'oidc-provider';

// What the package says by itself must not go to standard output: after the first line nobody reads there.
console.log = console.error;
console.info = console.error;

const application = process.env.TOLLGATE_APPLICATION;
const { privateKey } = await generateKeyPair('RS256', { extractable: true });
const key = { ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: 'one' };

// By itself the package asks nobody to sign in again for `acr_values`, which it may ignore (OpenID Connect Core 1.0, 3.1.2.1).
function policy() {
  const prompts = interactionPolicy.base();
  const weaker = ({ oidc }) => Boolean(oidc.params.acr_values) && !oidc.params.acr_values.split(' ').includes(oidc.acr);
  prompts.get('login').checks.add(new interactionPolicy.Check('acr', 'another authentication context is asked for', weaker));
  return prompts;
}

function provider(issuer) {
  return new Provider(issuer, {
    jwks: { keys: [key] },
    clients: [
      {
        client_id: 'web',
        // The characters that ways of encoding differ in (RFC 6749, section 2.3.1).
        client_secret: 'a secret: 100% +*-._~',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [`${application}/.tollgate/callback`],
        post_logout_redirect_uris: [`${application}/.tollgate/logged-out`],
        backchannel_logout_uri: `${application}/.tollgate/backchannel-logout`,
      },
    ],
    acrValues: ['gold', 'silver'],
    scopes: ['openid', 'offline_access', 'orders:read'],
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { policy: policy(), url: (_context, { uid }) => `/interaction/${uid}` },
    // No refresh token is given without it, as the gateway does not ask for `prompt=consent`.
    issueRefreshToken: (_context, client, code) => code.scopes.has('openid') && client.grantTypeAllowed('refresh_token'),
    ttl: { AccessToken: 5, IdToken: 300, Grant: 3600, Interaction: 600, Session: 3600, RefreshToken: 3600, AuthorizationCode: 60 },
    cookies: { keys: ['a key of the test'] },
    // By itself it does not call loopback addresses.
    fetch: (url, { dispatcher: _guard, ...options }) => fetch(url, options),
    features: {
      backchannelLogout: { enabled: true },
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource: askToSignOut, postLogoutSuccessSource: saySignedOut },
    },
  });
}

function html(title, body) {
  return `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>${title}</title>${body}`;
}

function page(response, uid, title, fields) {
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(html(title, `<h1>${title}</h1><form method="post" action="/interaction/${uid}">${fields}</form>`));
}

const SIGN_IN =
  '<label>Name <input name="name"></label><label>Password <input name="password" type="password"></label><button>Sign in</button>';

// The pages of the package itself want a font from elsewhere.
function askToSignOut(context, form) {
  context.body = html('Sign out', `${form}<button form="op.logoutForm" name="logout" value="yes">Sign out</button>`);
}

function saySignedOut(context) {
  context.body = html('Signed out', '<h1>You are signed out</h1>');
}

async function name(request) {
  let form = '';
  for await (const chunk of request.setEncoding('utf8')) form += chunk;
  return new URLSearchParams(form).get('name');
}

// Whatever somebody is asked to agree to is granted.
async function interact(request, response) {
  const { uid, prompt, params, session, grantId } = await current.interactionDetails(request, response);
  const [acr] = params.acr_values?.split(' ') ?? [];
  if (request.method === 'GET' && prompt.name === 'login') {
    const why = prompt.reasons.includes('acr') ? `<p>The authentication context ${acr} is asked for.</p>` : '';
    page(response, uid, 'Sign in', why + SIGN_IN);
  } else if (request.method === 'GET') {
    page(response, uid, 'Allow access?', '<button>Allow</button>');
  } else if (prompt.name === 'login') {
    const login = { accountId: `user-${await name(request)}`, acr };
    await current.interactionFinished(request, response, { login });
  } else {
    const grant = grantId ? await current.Grant.find(grantId) : new current.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    const result = { consent: { grantId: await grant.save() } };
    await current.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
  }
}

const server = createServer((request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    current.callback()(request, response);
    return;
  }
  interact(request, response).catch((error) => {
    console.error(error);
    response.statusCode = 500;
    response.end();
  });
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const current = provider(issuer);
process.stdout.write(`${JSON.stringify({ issuer })}\n`);

process.on('SIGTERM', () => process.exit(0));
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
