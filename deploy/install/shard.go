package install

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	shardKey  = "sharding.fluxcd.io/key"
	shardRole = "sharding.fluxcd.io/role"
)

// sharded are the kinds of which a shard has its own.
var sharded = []string{"Deployment", "Service", "PodDisruptionBudget"}

// shard adds what each shard has of its own, and leaves to those that are there the
// objects without a shard.
func (o Options) shard(objs []*unstructured.Unstructured) []*unstructured.Unstructured {
	if len(o.Shards) == 0 {
		return objs
	}
	out := objs
	for _, obj := range objs {
		if !slices.Contains(sharded, obj.GetKind()) {
			continue
		}
		for _, name := range o.Shards {
			out = append(out, ofShard(obj, name))
		}
		if obj.GetKind() == "Deployment" {
			addFlags(obj, "--watch-label-selector=!"+shardKey)
		}
	}
	return out
}

// ofShard returns a copy of an object for a shard.
func ofShard(obj *unstructured.Unstructured, shard string) *unstructured.Unstructured {
	obj = obj.DeepCopy()
	component := obj.GetName()
	name := component + "-" + shard
	obj.SetName(name)
	label(obj, shardRole, "shard")
	switch obj.GetKind() {
	case "Service":
		nested(obj.Object, "spec", "selector")["app"] = name
	case "PodDisruptionBudget":
		nested(obj.Object, "spec", "selector", "matchLabels")["app"] = name
	case "Deployment":
		nested(obj.Object, "spec", "selector", "matchLabels")["app"] = name
		template := &unstructured.Unstructured{Object: nested(obj.Object, "spec", "template")}
		label(template, "app", name)
		label(template, shardRole, "shard")
		eachFlag(obj, func(flag, value string) string {
			if flag == "storage-adv-addr" {
				return name + strings.TrimPrefix(value, component)
			}
			return value
		})
		addFlags(obj, "--watch-label-selector="+shardKey+"="+shard)
	}
	return obj
}
