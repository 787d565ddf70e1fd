// The official MCP SDK on both sides of the gateway, for tests/mcp.rs.
//
//   node mcp.mjs serve           two MCP servers without any code for OAuth; prints {"tools": PORT, "reports": PORT} and
//                                ends with its standard input
//   node mcp.mjs walk URL SCOPE  a client without a token: discovery, 401, sign-in as alice, token, a call of the tool
//                                `whoami`; prints what it saw, step by step, as one JSON object

import { createServer } from 'node:http';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

async function serve() {
  const ports = {};
  for (const name of ['tools', 'reports']) {
    const server = createServer((request, response) => answer(name, request, response));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    ports[name] = server.address().port;
  }
  console.log(JSON.stringify(ports));
  process.stdin.on('end', () => process.exit(0));
  process.stdin.resume();
}

// Stateless: a server and a transport for each request, as the SDK wants it.
async function answer(name, request, response) {
  const server = new McpServer({ name, version: '1.0.0' });
  server.registerTool('whoami', { description: 'Tells what the server is told of its caller.' }, () => {
    const seen = { server: name, subject: request.headers['x-auth-subject'], authorization: request.headers.authorization };
    return { content: [{ type: 'text', text: JSON.stringify(seen) }] };
  });
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  response.on('close', () => transport.close());
  await server.connect(transport);
  await transport.handleRequest(request, response);
}

async function walk(url, scope) {
  const seen = { requests: [] };
  const person = new Person();
  const follow = async (input, init) => {
    const response = await fetch(input, init);
    const { pathname } = new URL(input);
    seen.requests.push(`${init?.method ?? 'GET'} ${pathname} ${response.status}`);
    if (response.status === 401) seen.challenge = response.headers.get('www-authenticate');
    return response;
  };
  const connect = async () => {
    const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: person, fetch: follow });
    const client = new Client({ name: 'walker', version: '1.0.0' });
    try {
      await client.connect(transport);
      return { client };
    } catch (error) {
      if (!(error instanceof UnauthorizedError)) throw error;
      return { transport };
    }
  };
  const { client: open, transport } = await connect();
  if (open) throw new Error('the server let a client without a token in');
  seen.asked = Object.fromEntries(person.asked.searchParams);
  if (seen.asked.scope !== scope) throw new Error(`asked for the scope ${seen.asked.scope}`);
  await transport.finishAuth(await person.signIn());
  const { client } = await connect();
  if (!client) throw new Error('the token was refused');
  seen.tools = (await client.listTools()).tools.map((tool) => tool.name);
  const result = await client.callTool({ name: 'whoami', arguments: {} });
  seen.whoami = JSON.parse(result.content[0].text);
  seen.token = person.saved.access_token;
  await client.close();
  return seen;
}

// What an MCP client keeps, and the person in front of it.
class Person {
  redirectUrl = 'http://127.0.0.1:7777/callback';
  clientMetadata = { client_name: 'walker', redirect_uris: [this.redirectUrl], token_endpoint_auth_method: 'none' };
  clientInformation = () => ({ client_id: 'mcp-client' });
  tokens = () => this.saved;
  saveTokens = (tokens) => { this.saved = tokens; };
  saveCodeVerifier = (verifier) => { this.verifier = verifier; };
  codeVerifier = () => this.verifier;
  state = () => 'state-of-the-walker';
  redirectToAuthorization = (url) => { this.asked = url; };

  // Follows redirects and fills in forms, as a browser would, until it is sent to the redirect URI.
  async signIn() {
    const cookies = new Map();
    let at = this.asked;
    let init = {};
    for (let step = 0; step < 12; step += 1) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const response = await fetch(at, { ...init, redirect: 'manual', headers: { ...init.headers, cookie } });
      for (const set of response.headers.getSetCookie()) {
        const [name, value] = set.split(';')[0].split('=');
        cookies.set(name, value);
      }
      const location = response.headers.get('location');
      if (location) {
        at = new URL(location, at);
        init = {};
        if (at.href.startsWith(this.redirectUrl)) {
          if (at.searchParams.get('state') !== this.state()) throw new Error('another state came back');
          return at.searchParams.get('code');
        }
        continue;
      }
      const page = await response.text();
      const form = page.match(/<form[^>]*action="([^"]*)"/);
      if (!form) throw new Error(`no form: ${response.status} ${page.slice(0, 2000)}`);
      const fields = new URLSearchParams();
      for (const [, name, value] of page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)) fields.set(name, value);
      // The first button of each page goes on.
      const button = page.match(/<button[^>]*name="([^"]*)" value="([^"]*)"/);
      if (button) fields.set(button[1], button[2]);
      if (page.includes('type="password"')) {
        fields.set('username', 'alice');
        fields.set('password', 'wonderland');
      }
      const origin = at.origin;
      at = new URL(form[1].replaceAll('&amp;', '&'), at);
      init = { method: 'POST', body: fields.toString(), headers: { 'content-type': 'application/x-www-form-urlencoded', origin } };
    }
    throw new Error('the sign-in leads nowhere');
  }
}

const [mode, ...args] = process.argv.slice(2);
if (mode === 'serve') await serve();
else console.log(JSON.stringify(await walk(...args)));
