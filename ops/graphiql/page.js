"use strict";

const root = document.getElementById("graphiql");
const endpoint = location.origin + location.pathname;
const h = React.createElement;

// A dialog of GraphiQL's writes one <style> of its own: it may, if it shows the nonce of the page's policy.
globalThis.__webpack_nonce__ = document.currentScript.nonce;

const DEMO = ["client", "freelancer", "admin"];
const SIGN_IN = `mutation SignIn($input: SignInInput!) {
  signIn(input: $input) {
    ... on SignedIn { accessToken }
    ... on Refused { message }
  }
}`;

const overHttp = GraphiQL.createFetcher({
  url: endpoint,
  headers: { accept: "application/graphql-response+json, application/json;q=0.9" },
  enableIncrementalDelivery: false,
});

// Each run gets a socket of its own, so a changed header is a new connection and nothing is kept in step.
// A lost socket is shown, not mended: silent retries would hide a refused token, and lose events.
function overSocket(operation, headers) {
  const client = graphqlWs.createClient({
    url: endpoint.replace(/^http/, "ws"),
    connectionParams: credentials(headers),
    retryAttempts: 0,
  });
  return {
    subscribe: (sink) => ({
      unsubscribe: client.subscribe(operation, { ...sink, error: (error) => sink.error(told(error)) }),
    }),
  };
}

function credentials(headers = {}) {
  const name = Object.keys(headers).find((name) => name.toLowerCase() === "authorization");
  return name ? { Authorization: headers[name] } : {};
}

// The browser's own events say nothing when they are written out as JSON.
function told(error) {
  if (error instanceof CloseEvent) return { message: `Socket closed: ${error.code} ${error.reason}`.trim() };
  return error instanceof Event ? { message: "The socket could not be opened." } : error;
}

function fetcher(operation, { headers, documentAST } = {}) {
  const asked = documentAST && GraphiQL.GraphQL.getOperationAST(documentAST, operation.operationName);
  if (asked?.operation === "subscription") return overSocket(operation, headers);
  return overHttp(operation, { headers });
}

// GraphiQL's history keeps headers even from those who asked that headers not be kept, and they hold tokens.
const shelf = {
  getItem: (key) => localStorage.getItem(key),
  setItem: (key, value) => localStorage.setItem(key, /:(queries|favorites)$/.test(key) ? bare(value) : value),
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => localStorage.clear(),
  get length() {
    return localStorage.length;
  },
};

function bare(history) {
  return JSON.stringify(JSON.parse(history), (key, value) => (key === "headers" ? undefined : value));
}

async function signIn(email) {
  const input = { email, password: root.dataset.demo };
  const { data, errors } = await overHttp({ query: SIGN_IN, operationName: "SignIn", variables: { input } });
  const token = data?.signIn?.accessToken;
  if (!token) throw new Error(data?.signIn?.message ?? errors?.[0]?.message ?? "No answer.");
  return token;
}

// The headers as they stand in the editor, with another Authorization or none; the unreadable is replaced.
function withToken(text, token) {
  let headers = {};
  try {
    headers = JSON.parse(text);
  } catch {}
  for (const name of Object.keys(headers)) if (name.toLowerCase() === "authorization") delete headers[name];
  if (token) headers.Authorization = `Bearer ${token}`;
  return Object.keys(headers).length ? JSON.stringify(headers, null, 2) : "";
}

function SignIn({ put }) {
  const [{ who, busy, refusal }, say] = React.useState({});
  const enter = async (name) => {
    say({ busy: true });
    try {
      put(await signIn(`${name}@demo.workup`));
      say({ who: name });
    } catch (error) {
      say({ refusal: error.message });
    }
  };
  const leave = () => {
    put(null);
    say({});
  };
  if (who) return h(React.Fragment, null, `${who}@demo.workup`, h("button", { onClick: leave }, "Sign out"));
  return h(
    React.Fragment,
    null,
    refusal ? h("span", { className: "refused", role: "alert" }, refusal) : "Sign in as",
    DEMO.map((name) => h("button", { key: name, disabled: busy, onClick: () => enter(name) }, name)),
  );
}

const plugins = [GraphiQLPluginExplorer.explorerPlugin()];
const example = document.getElementById("example").content.textContent;

function Page() {
  const [headers, setHeaders] = React.useState();
  const typed = React.useRef("");
  const put = (token) => setHeaders(withToken(typed.current, token));
  const bar = h(
    GraphiQL.Logo,
    null,
    root.dataset.demo ? h(SignIn, { put }) : null,
    h("strong", null, "WorkUp"),
  );
  return h(
    GraphiQL,
    {
      fetcher,
      plugins,
      headers,
      defaultHeaders: headers,
      defaultTabs: [{ query: example }],
      defaultQuery: "",
      onEditHeaders: (text) => (typed.current = text),
      shouldPersistHeaders: false,
      storage: shelf,
    },
    bar,
  );
}

ReactDOM.createRoot(root).render(h(Page));
