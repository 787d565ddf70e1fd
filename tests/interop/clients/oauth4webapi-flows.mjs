// oauth4webapi: the flows beside the code flow, each by the client that it is for. Option: clients.
import * as oauth from 'oauth4webapi';
import { assert, check, done, need, refused } from './check.mjs';
import { as, authorizationRequest, insecure, login, redeem, server, visit } from './oauth4webapi-peer.mjs';
import { peer, person } from './peer.mjs';

const { machine, legacy, tv, hybrid } = peer.clients;
const api = await as(peer.resource_server);
const typed = (tokens, ...members) => {
  const more = ['refresh_token', 'id_token'].filter((name) => name in tokens);
  assert(tokens.token_type === 'bearer' && more.join() === members.join(), JSON.stringify(Object.keys(tokens)));
  return `scope ${tokens.scope}`;
};

await check('client credentials: an access token alone', async () => {
  const { client, proof } = await as(machine);
  const response = await oauth.clientCredentialsGrantRequest(server, client, proof, { scope: 'orders:read' }, insecure);
  return typed(await oauth.processClientCredentialsResponse(server, client, response));
});
await check('password: never an ID token', async () => {
  const { client, proof } = await as(legacy);
  const [username, password] = [peer.user.name, peer.user.password];
  const parameters = { username, password, scope: 'profile orders:read' };
  const response = await oauth.genericTokenEndpointRequest(server, client, proof, 'password', parameters, insecure);
  return typed(await oauth.processGenericTokenEndpointResponse(server, client, response), 'refresh_token');
});

// Refresh, introspection, revocation.
const who = await as();
const first = await need('code flow', () => login(who, { more: { prompt: 'consent' } }));
async function refresh(token) {
  const response = await oauth.refreshTokenGrantRequest(server, who.client, who.proof, token, insecure);
  const tokens = await oauth.processRefreshTokenResponse(server, who.client, response);
  await oauth.validateApplicationLevelSignature(server, response, insecure);
  return tokens;
}
const second = await need('refreshed, with an ID token of the same sign-in', async () => {
  const tokens = await refresh(first.refresh_token);
  const [before, after] = [first, tokens].map(oauth.getValidatedIdTokenClaims);
  for (const name of ['sub', 'auth_time', 'sid']) assert(before[name] === after[name], `${name} changed`);
  return tokens;
});
async function isActive(token) {
  const response = await oauth.introspectionRequest(server, api.client, api.proof, token, insecure);
  return (await oauth.processIntrospectionResponse(server, api.client, response)).active;
}
async function revoke(token) {
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, who.client, who.proof, token, insecure));
}
await check('introspected: active', async () => assert(await isActive(second.access_token), 'inactive'));
await check('revoked', () => revoke(second.access_token));
await check('introspected: inactive', async () => assert(!(await isActive(second.access_token)), 'active'));
const third = await need('the refresh token is still good', () => refresh(second.refresh_token));
await refused('the first one again', /invalid_grant/, () => refresh(first.refresh_token));
await refused('which ended the newest', /invalid_grant/, () => refresh(third.refresh_token));

await check('a pushed request', async () => {
  const request = await authorizationRequest(who);
  const response = await oauth.pushedAuthorizationRequest(server, who.client, who.proof, request.parameters, insecure);
  const { request_uri } = await oauth.processPushedAuthorizationResponse(server, who.client, response);
  const answer = await visit(new URLSearchParams({ client_id: who.client.client_id, request_uri }));
  await redeem(who, request, oauth.validateAuthResponse(server, who.client, answer.url, request.state));
});
for (const mode of ['fragment', 'form_post']) {
  await check(`hybrid, by ${mode}`, async () => {
    const app = await as(hybrid);
    const request = await authorizationRequest(app, { response_type: 'code id_token', response_mode: mode, scope: 'openid profile' });
    const { url, form } = await visit(request.parameters);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const came = form ? new Request(url, { method: 'POST', body: form, headers }) : url;
    const parameters = await oauth.validateCodeIdTokenResponse(server, app.client, came, request.nonce, request.state, undefined, insecure);
    await redeem(app, request, parameters);
  });
}
await check('a device', async () => {
  const { client, proof } = await as(tv);
  const begun = await oauth.deviceAuthorizationRequest(server, client, proof, { scope: 'openid profile' }, insecure);
  const device = await oauth.processDeviceAuthorizationResponse(server, client, begun);
  const ask = async () => {
    const response = await oauth.deviceCodeGrantRequest(server, client, proof, device.device_code, insecure);
    return oauth.processDeviceCodeResponse(server, client, response);
  };
  const pending = await ask().catch(({ error }) => error);
  assert(pending === 'authorization_pending', `${pending}`);
  await person().walk(device.verification_uri_complete, ({ page }) => page?.status === 200 && page.forms.length === 0);
  return typed(await ask(), 'refresh_token', 'id_token');
});
done();
