// The npm package `oidc-provider` with one machine client, one API and two clients that introspect, for tests/interop.rs.
//
// Listens on a free loopback port and prints one line, {"issuer": "http://127.0.0.1:PORT", "key": "PEM"}, when it does; the key
// is that of the client `signed`, which authenticates by it and gets signed answers about tokens.
// POST /rotate gives it new signing keys; the old ones are no longer published. Ends on SIGTERM or when its
// standard input closes, so that it never outlives the test that started it.

import { createServer } from 'node:http';
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

// What the package says by itself must not go to standard output: after the first line nobody reads there.
console.log = console.error;
console.info = console.error;

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
    accessTokenTTL: 300,
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

async function provider(issuer) {
  return new Provider(issuer, {
    jwks: { keys: await signingKeys() },
    clients: [
      {
        client_id: 'machine',
        client_secret: 'machine-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
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
    ],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS, introspectionSigningAlgValues: ALGORITHMS },
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: async (_context, indicator) => resourceServer(indicator),
      },
    },
  });
}

const server = createServer(async (request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    current = await provider(issuer);
    response.end('rotated');
    return;
  }
  current.callback()(request, response);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
let current = await provider(issuer);
process.stdout.write(`${JSON.stringify({ issuer, key: await exportPKCS8(gateway.privateKey) })}\n`);

process.on('SIGTERM', () => process.exit(0));
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
