package management

import (
	"context"
	"iter"

	"github.com/headroom-go/auth0"
)

// Set makes the roles of a user those given: it assigns what is missing, then removes what is too much, and sends nothing where there
// is no difference. The user has all of the new roles before losing one of the old.
func (s *UserRolesService) Set(ctx context.Context, id string, roles []string, opts ...auth0.RequestOption) error {
	return setTo(s.All(ctx, id, nil, opts...), roles, roleID,
		func(missing []string) error { return s.Assign(ctx, id, RoleIDs{Roles: missing}, opts...) },
		func(extra []string) error { return s.Delete(ctx, id, RoleIDs{Roles: extra}, opts...) })
}

// Set makes the roles of a member those given, as [UserRolesService.Set] does for a user.
func (s *OrganizationMemberRolesService) Set(ctx context.Context, id, userID string, roles []string, opts ...auth0.RequestOption) error {
	return setTo(s.All(ctx, id, userID, nil, opts...), roles, roleID,
		func(missing []string) error { return s.Assign(ctx, id, userID, RoleIDs{Roles: missing}, opts...) },
		func(extra []string) error { return s.Delete(ctx, id, userID, RoleIDs{Roles: extra}, opts...) })
}

// Set makes the permissions of a role those given, as [UserRolesService.Set] does for the roles of a user.
func (s *RolePermissionsService) Set(ctx context.Context, id string, permissions []Permission, opts ...auth0.RequestOption) error {
	return setTo(s.All(ctx, id, nil, opts...), permissions,
		func(p *RolePermission) Permission {
			return Permission{ResourceServerIdentifier: p.ResourceServerIdentifier, PermissionName: p.PermissionName}
		},
		func(missing []Permission) error { return s.Add(ctx, id, PermissionList{Permissions: missing}, opts...) },
		func(extra []Permission) error { return s.Delete(ctx, id, PermissionList{Permissions: extra}, opts...) })
}

// Set makes the permissions that a user has directly those given, as [UserRolesService.Set] does for roles.
func (s *UserPermissionsService) Set(ctx context.Context, id string, permissions []Permission, opts ...auth0.RequestOption) error {
	return setTo(s.All(ctx, id, nil, opts...), permissions,
		func(p *UserPermission) Permission {
			return Permission{ResourceServerIdentifier: p.ResourceServerIdentifier, PermissionName: p.PermissionName}
		},
		func(missing []Permission) error {
			return s.Create(ctx, id, PermissionList{Permissions: missing}, opts...)
		},
		func(extra []Permission) error { return s.Delete(ctx, id, PermissionList{Permissions: extra}, opts...) })
}

func roleID(r *Role) string { return r.ID }

// setTo brings what there is to what is wanted.
func setTo[T any, K comparable](have iter.Seq2[T, error], want []K, id func(T) K, add, remove func([]K) error) error {
	wanted := map[K]bool{}
	for _, k := range want {
		wanted[k] = true
	}
	had := map[K]bool{}
	var extra []K
	for t, err := range have {
		if err != nil {
			return err
		}
		k := id(t)
		if had[k] = true; !wanted[k] {
			extra = append(extra, k)
		}
	}
	var missing []K
	for _, k := range want {
		if !had[k] {
			had[k] = true // once, even if it is wanted twice
			missing = append(missing, k)
		}
	}
	if len(missing) > 0 {
		if err := add(missing); err != nil {
			return err
		}
	}
	if len(extra) > 0 {
		return remove(extra)
	}
	return nil
}
