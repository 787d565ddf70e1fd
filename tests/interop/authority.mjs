// The npm package `oidc-provider` with one machine client and one API, for tests/interop.rs.
//
// Listens on a free loopback port and prints one line, {"issuer": "http://127.0.0.1:PORT"}, when it does.
// POST /rotate gives it new signing keys; the old ones are no longer published. Ends on SIGTERM or when its
// standard input closes, so that it never outlives the test that started it.

import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

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

// The resource's name says how its access tokens are signed: https://api.test/ES256.
function resourceServer(indicator) {
  const alg = ALGORITHMS.find((name) => indicator.endsWith(`/${name}`)) ?? 'RS256';
  return {
    audience: indicator,
    scope: 'orders:read orders:write',
    accessTokenFormat: 'jwt',
    accessTokenTTL: 300,
    jwt: { sign: { alg } },
  };
}

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
    ],
    clientAuthMethods: ['client_secret_basic'],
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS },
    features: {
      clientCredentials: { enabled: true },
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
process.stdout.write(`${JSON.stringify({ issuer })}\n`);

process.on('SIGTERM', () => process.exit(0));
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
