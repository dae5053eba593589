package management

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/headroom-go/auth0"
)

// walkPage is the largest page that the search of users gives.
const walkPage = 100

// Walk iterates over all users that a search finds, or all of the tenant, in the order of their creation. Unlike [UsersService.All] it
// does not end after 1,000 users: it never asks for the page after the first, but for the users created since the last one it has seen,
// so that no user comes twice and none is missed, whatever is created or deleted meanwhile. Only where more than 100 users were created
// within one millisecond does it ask for the page after, and may miss one when others of that millisecond are deleted just then.
//
// Of params, the search, the fields and the connection count. PerPage is how many users it asks for at first; 100 where that is too
// few to get ahead. Sort, Page and IncludeTotals are Walk's own, and refused. Where fields are named, created_at and user_id come with them.
func (s *UsersService) Walk(ctx context.Context, params *UserListParams, opts ...auth0.RequestOption) iter.Seq2[*User, error] {
	return func(yield func(*User, error) bool) {
		var p UserListParams
		if params != nil {
			p = *params
		}
		if p.Sort != "" || p.Page != 0 || p.IncludeTotals != nil {
			yield(nil, errors.New("auth0: Users.Walk sets the sort, the page and include_totals itself"))
			return
		}
		if len(p.Fields) > 0 && (p.IncludeFields == nil || *p.IncludeFields) {
			p.Fields = append(slices.Clip(p.Fields), "created_at", "user_id")
		}
		if p.PerPage <= 0 || p.PerPage > walkPage {
			p.PerPage = walkPage
		}
		p.Sort = "created_at:1"
		p.IncludeTotals = new(false)
		search := p.Query
		var last time.Time
		seen := map[string]bool{} // the users of the last instant: they come again, since the next search begins with that instant
		for {
			page, err := s.List(ctx, &p, opts...)
			if err != nil {
				yield(nil, err)
				return
			}
			fresh := false
			for _, u := range page.Items {
				if seen[u.UserID] {
					continue
				}
				if u.CreatedAt.IsZero() || u.UserID == "" {
					yield(nil, errors.New("auth0: Users.Walk needs created_at and user_id of every user"))
					return
				}
				created := u.CreatedAt.Truncate(time.Millisecond) // as exact as a search is
				if created.Before(last) {
					yield(nil, errors.New("auth0: Users.Walk: the users did not come in the order of their creation"))
					return
				}
				if created.After(last) {
					last = created
					clear(seen)
				}
				seen[u.UserID] = true
				fresh = true
				if !yield(u, nil) {
					return
				}
			}
			switch {
			case len(page.Items) < p.PerPage:
				return
			case fresh:
				p.Page = 0
				since := Where("created_at").Between(last.UTC().Format("2006-01-02T15:04:05.000Z"), "*")
				if search != "" {
					since = Search("(" + search + ")").And(since)
				}
				p.Query = string(since)
			case p.PerPage < walkPage:
				p.PerPage = walkPage // not the page after: it misses a user where one before it has been deleted
			default:
				p.Page++ // more users of one instant than a page holds
			}
		}
	}
}

// ToUpdate returns a body for [UsersService.Update] that leaves the user as it is: change it and send it. It holds names, picture,
// metadata and whether the user is blocked, but no identifiers (email, phone number, user name), since the API takes those for changed
// and has them verified anew. The maps are the user's own. The API merges metadata: to remove a name, set it to nil, since a name that
// is left out stays.
func (v User) ToUpdate() UserUpdate {
	u := UserUpdate{AppMetadata: v.AppMetadata, UserMetadata: v.UserMetadata}
	if v.Blocked {
		u.Blocked = new(true)
	}
	for _, f := range []struct {
		from string
		to   *auth0.Null[string]
	}{{v.GivenName, &u.GivenName}, {v.FamilyName, &u.FamilyName}, {v.Name, &u.Name}, {v.Nickname, &u.Nickname}, {v.Picture, &u.Picture}} {
		if f.from != "" {
			*f.to = auth0.NullOf(f.from)
		}
	}
	return u
}
