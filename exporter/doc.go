// Package exporter fetches the users of a tenant: it begins an export job, waits
// for it, and downloads the file that the job made.
//
//	file, err := os.Create("users.ndjson")
//	...
//	result, err := exporter.Run(ctx, client, file, exporter.Options{
//		Connection: "Username-Password-Authentication",
//		Fields:     exporter.Importable(),
//	})
//
// The link to a job's file lives for 60 seconds. Where one has expired, or a
// download breaks or stalls, the job is asked for a fresh link, and the download
// goes on at the byte where it stopped; what has been written is not written again.
// The file comes from another host than the tenant's: requests to it carry no
// token and are not paced, and the links, which are as good as a password while
// they live, stay out of errors.
//
// Functions may be called by several goroutines at once, each with a writer of
// its own.
package exporter
