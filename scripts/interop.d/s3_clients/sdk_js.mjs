// The operations of @aws-sdk/client-s3 for table.py, in the form of remote.py.
import { createReadStream, createWriteStream, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import { pipeline } from 'node:stream/promises'

const require = createRequire(import.meta.url) // it follows NODE_PATH
const s3 = require('@aws-sdk/client-s3')
const { Upload } = require('@aws-sdk/lib-storage')
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner')

const { env } = process
const Bucket = env.S3_BUCKET
const client = new s3.S3Client({
  endpoint: env.S3_ENDPOINT,
  region: 'us-east-1',
  credentials: { accessKeyId: env.S3_ACCESS_KEY, secretAccessKey: env.S3_SECRET_KEY },
  forcePathStyle: true,
  maxAttempts: 1,
})

const operations = {
  async put(Key, path) {
    const ContentLength = statSync(path).size
    await client.send(new s3.PutObjectCommand({ Bucket, Key, Body: createReadStream(path), ContentLength }))
  },
  async get(Key, path) {
    const { Body } = await client.send(new s3.GetObjectCommand({ Bucket, Key }))
    await pipeline(Body, createWriteStream(path))
  },
  async head(Key) {
    return (await client.send(new s3.HeadObjectCommand({ Bucket, Key }))).ContentLength
  },
  async list(Prefix) {
    const keys = []
    for await (const page of s3.paginateListObjectsV2({ client, pageSize: 5 }, { Bucket, Prefix })) {
      keys.push(...(page.Contents ?? []).map((found) => found.Key))
    }
    return keys
  },
  async multipart(Key, path) {
    await new Upload({ client, params: { Bucket, Key, Body: createReadStream(path) }, partSize: 5 * 2 ** 20 }).done()
  },
  async copy(source, Key) {
    const CopySource = `${Bucket}/${encodeURIComponent(source)}`
    await client.send(new s3.CopyObjectCommand({ Bucket, Key, CopySource }))
  },
  async delete_objects(keys) {
    const Objects = keys.map((Key) => ({ Key }))
    const { Errors } = await client.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects } }))
    if (Errors?.length) throw new Error(JSON.stringify(Errors))
  },
  presigned_get: (Key) => getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key })),
  presigned_put: (Key) => getSignedUrl(client, new s3.PutObjectCommand({ Bucket, Key })),
}

for await (const line of createInterface({ input: process.stdin })) {
  const { call, given } = JSON.parse(line)
  let response
  try {
    response = { result: await operations[call](...given) }
  } catch (error) {
    response = { error: `${error.name}: ${error.message} (${error.$metadata?.httpStatusCode})` }
  }
  console.log(JSON.stringify(response))
}
