// Compiles if the package's types fit those of @types/aws-lambda.
import type { CloudFrontRequestEvent, CloudFrontRequestHandler } from "aws-lambda";

import { createHandler, handler, hash, type Settings } from "tower-sigv4-edge";

const handlers: CloudFrontRequestHandler[] = [handler, hash, createHandler({})];
const settings: Required<Settings> = {
  service: "execute-api",
  region: "us-east-1",
  payload: "hash",
  authorizationHeader: "x-viewer-authorization",
  viewerOrigin: "https://abc123.execute-api.us-east-1.amazonaws.com/prod",
};

export async function status(event: CloudFrontRequestEvent): Promise<string> {
  const result = await createHandler(settings)(event);
  return "status" in result ? result.status : "signed";
}

// @ts-expect-error: it is not a mode
createHandler({ payload: "none" });
// @ts-expect-error: a region is a name
createHandler({ region: 1 });
// @ts-expect-error: an event has records
handlers[0]({}, {}, () => {});
