// The npm package `oidc-provider` with three machine clients, one API and three clients that introspect, for tests/support/provider.rs.
//
// Listens on a free loopback port and prints one line, {"issuer": "http://127.0.0.1:PORT", "key": "PEM", "certified":
// "127.0.0.1:PORT"}, when it does; the key is that of the client `signed`, which authenticates by it and gets signed answers
// about tokens. At the other address it speaks TLS, with the certificate and the key of the files that it is given, and sees
// the certificates of clients; any will do. The tokens of the client `proving` are bound to a key (DPoP), and those of
// `certified` to a certificate.
// With the origin of an application as third argument, people sign in for that one too, by any name and password: its client is
// `web`, with callback, logout and back-channel logout below /.tollgate/, and its access tokens end after three seconds.
// POST /rotate gives it new signing keys; the old ones are no longer published. Ends on SIGTERM or when its
// standard input closes, so that it never outlives the test that started it.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

// What the package says by itself must not go to standard output: after the first line nobody reads there.
console.log = console.error;
console.info = console.error;

const [cert, key] = process.argv.slice(2, 4).map((file) => readFileSync(file));
const application = process.argv[4];

const ALGORITHMS = ['RS256', 'ES256', 'Ed25519'];

let generation = 0;
async function signingKeys() {
  generation += 1;
  return Promise.all(
    ALGORITHMS.map(async (alg) => {
      const { privateKey } = await generateKeyPair(alg, { extractable: true });
      return { ...(await exportJWK(privateKey)), kid: `${alg}-${generation}`, alg, use: 'sig' };
    }),
  );
}

// The resource's name says how its access tokens are signed: https://api.test/ES256; or that they are opaque.
function resourceServer(indicator) {
  const alg = ALGORITHMS.find((name) => indicator.endsWith(`/${name}`)) ?? 'RS256';
  return {
    audience: indicator,
    scope: 'orders:read orders:write',
    accessTokenFormat: indicator.endsWith('/opaque') ? 'opaque' : 'jwt',
    accessTokenTTL: application ? 3 : 300,
    jwt: { sign: { alg } },
  };
}

const gateway = await generateKeyPair('ES256', { extractable: true });

// The characters that ways of encoding differ in (RFC 6749, section 2.3.1).
const SECRET = 'a secret: 100% +*-._~';

const introspecting = {
  grant_types: [],
  redirect_uris: [],
  response_types: [],
};

// A client that gets tokens for itself.
function machine(name, more) {
  return {
    client_id: name,
    client_secret: `${name}-secret`,
    ...introspecting,
    grant_types: ['client_credentials'],
    ...more,
  };
}

// Every claim of `profile` and `email` comes from userinfo.
const people = application && {
  claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
  findAccount: async (_context, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, name: `${id} of Acme`, email: `${id}@acme.example` }),
  }),
  ttl: { AccessToken: 3 },
};

// The client of the application.
const web = {
  client_id: 'web',
  client_secret: SECRET,
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: [`${application}/.tollgate/callback`],
  post_logout_redirect_uris: [`${application}/.tollgate/logged-out`],
  backchannel_logout_uri: `${application}/.tollgate/backchannel-logout`,
  backchannel_logout_session_required: true,
};

async function provider(issuer) {
  return new Provider(issuer, {
    jwks: { keys: await signingKeys() },
    clients: [
      machine('machine', {}),
      machine('proving', { dpop_bound_access_tokens: true }),
      machine('certified', { tls_client_certificate_bound_access_tokens: true }),
      { client_id: 'plain', client_secret: SECRET, ...introspecting },
      {
        client_id: 'posting',
        client_secret: SECRET,
        token_endpoint_auth_method: 'client_secret_post',
        ...introspecting,
      },
      {
        client_id: 'signed',
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ ...(await exportJWK(gateway.publicKey)), kid: 'gateway-1' }] },
        introspection_signed_response_alg: 'ES256',
        ...introspecting,
      },
      ...(application ? [web] : []),
    ],
    ...people,
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS, introspectionSigningAlgValues: ALGORITHMS },
    features: {
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        getCertificate: (context) => context.socket.getPeerX509Certificate?.(),
      },
      introspection: { enabled: true },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true },
      devInteractions: { enabled: Boolean(application) },
      backchannelLogout: { enabled: Boolean(application) },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: async (_context, indicator) => resourceServer(indicator),
      },
    },
  });
}

const answer = async (request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    current = await provider(issuer);
    response.end('rotated');
    return;
  }
  current.callback()(request, response);
};
async function listening(server) {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${server.address().port}`;
}
const issuer = `http://${await listening(createServer(answer))}`;
const certified = await listening(
  createTlsServer({ cert, key, requestCert: true, rejectUnauthorized: false }, answer),
);
let current = await provider(issuer);
process.stdout.write(`${JSON.stringify({ issuer, key: await exportPKCS8(gateway.privateKey), certified })}\n`);

process.on('SIGTERM', () => process.exit(0));
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
