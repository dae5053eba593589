package main

import (
	"html/template"
	"sync"
)

// layout is the template of all pages.
var layout = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title></head>
<body>
<h1>{{.Title}}</h1>
{{with .Text}}<p>{{.}}</p>{{end}}
{{if .Profile}}<dl>
<dt>Name</dt><dd id="name">{{.User.Name}}</dd>
<dt>E-mail</dt><dd id="email">{{.User.Email}}</dd>
<dt>User id</dt><dd id="subject">{{.User.Subject}}</dd>
</dl>{{end}}
{{if .User}}<p>You are logged in{{if not .Profile}}: <a href="/profile">your profile</a>{{end}}.</p>
<form method="post" action="/logout"><button type="submit">Log out</button></form>
{{else}}<p><a href="/login">Log in</a></p>
{{end}}</body>
</html>
`))
})
