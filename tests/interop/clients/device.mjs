// openid-client: device authorization (RFC 8628); a person types the code in.
import * as oidc from 'openid-client';
import { assert, check, done, need, refused } from './check.mjs';
import { connect, peer, person } from './peer.mjs';

const config = await need('discovery', () => connect());
const device = await need('device authorization', () => oidc.initiateDeviceAuthorization(config, { scope: peer.scope }));
await check('all that a device has to show', () => {
  assert(device.user_code && device.verification_uri && device.expires_in > 0 && device.interval > 0, JSON.stringify(device));
  return `${device.user_code} at ${device.verification_uri}`;
});

async function poll(code) {
  const answer = await fetch(config.serverMetadata().token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: peer.client.id, device_code: code }),
  });
  const { error, ...rest } = await answer.json();
  if (error) throw new Error(error);
  return rest;
}
await refused('before the person agrees', /authorization_pending/, () => poll(device.device_code));
await refused('unknown device code', /invalid_grant/, () => poll('unknown'));

await need('a person types the code in and agrees', () => person().walk(device.verification_uri, ({ page }) => {
  for (const field of page?.forms.flatMap((form) => form.fields) ?? []) {
    if (field.name === 'user_code') field.value = device.user_code;
  }
  return page?.status === 200 && page.forms.length === 0;
}));

const signal = AbortSignal.timeout(30000);
const tokens = await need('polling gives tokens', () => oidc.pollDeviceAuthorizationGrant(config, device, undefined, { signal }));
await check('they speak for the person', async () => {
  const claims = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  return `${claims.sub}, refresh token: ${!!tokens.refresh_token}`;
});
await refused('the device code again', /invalid_grant/, () => poll(device.device_code));
done();
