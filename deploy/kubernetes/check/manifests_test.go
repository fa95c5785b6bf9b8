// Package check tests the manifests: it builds each overlay with Kustomize itself,
// decodes every object strictly into Kubernetes' own types, and judges the pods by
// Kubernetes' own restricted profile. It is a module of its own, so that none of this
// is a dependency of the program.
package check

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psaapi "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// overlay is everything that kubectl apply -k would create.
type overlay struct {
	name     string
	objects  map[string]any // "Deployment/worker"
	policies []*networkingv1.NetworkPolicy
	budgets  []*policyv1.PodDisruptionBudget
	pods     map[string]corev1.PodTemplateSpec // by workload's name
}

var overlays = []string{"sandbox", "live"}

// build renders an overlay as Kustomize does and decodes it.
func build(t *testing.T, name string) *overlay {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("..", "overlays", name))
	if err != nil {
		t.Fatal(err)
	}
	o := &overlay{name: name, objects: map[string]any{}, pods: map[string]corev1.PodTemplateSpec{}}
	for _, resource := range rendered.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object := typeOf(resource.GetKind())
		if object == nil {
			t.Fatalf("%s: a %s is not known here", name, resource.GetKind())
		}
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			t.Errorf("%s: %s %s: %v", name, resource.GetKind(), resource.GetName(), err)
			continue
		}
		if space := resource.GetNamespace(); space != "topup" && resource.GetKind() != "Namespace" {
			t.Errorf("%s: %s %s is in the namespace %q", name, resource.GetKind(), resource.GetName(), space)
		}
		o.objects[resource.GetKind()+"/"+resource.GetName()] = object
		switch object := object.(type) {
		case *appsv1.Deployment:
			o.pods[object.Name] = object.Spec.Template
			sameLabels(t, object.Name, object.Spec.Selector, object.Spec.Template)
		case *appsv1.StatefulSet:
			o.pods[object.Name] = object.Spec.Template
			sameLabels(t, object.Name, object.Spec.Selector, object.Spec.Template)
		case *networkingv1.NetworkPolicy:
			o.policies = append(o.policies, object)
		case *policyv1.PodDisruptionBudget:
			o.budgets = append(o.budgets, object)
		}
	}
	return o
}

func typeOf(kind string) any {
	switch kind {
	case "Namespace":
		return &corev1.Namespace{}
	case "Service":
		return &corev1.Service{}
	case "ConfigMap":
		return &corev1.ConfigMap{}
	case "Secret":
		return &corev1.Secret{}
	case "Deployment":
		return &appsv1.Deployment{}
	case "StatefulSet":
		return &appsv1.StatefulSet{}
	case "NetworkPolicy":
		return &networkingv1.NetworkPolicy{}
	case "PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}
	case "ScaledObject":
		return &scaledObject{}
	case "TriggerAuthentication":
		return &triggerAuthentication{}
	default:
		return nil
	}
}

// scaledObject and triggerAuthentication are KEDA's, as far as they are used: its own
// types would need a hundred modules more.
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef  struct{ Name string }
		MinReplicaCount int32
		MaxReplicaCount int32
		PollingInterval int32
		CooldownPeriod  int32
		Advanced        struct {
			HorizontalPodAutoscalerConfig struct {
				Behavior struct {
					ScaleDown struct {
						StabilizationWindowSeconds int32
						Policies                   []struct {
							Type                 string
							Value, PeriodSeconds int32
						}
					}
				}
			}
		}
		Triggers []struct {
			Type              string
			Metadata          map[string]string
			AuthenticationRef struct{ Name string }
		}
	}
}

type triggerAuthentication struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		SecretTargetRef []struct{ Parameter, Name, Key string }
	}
}

func sameLabels(t *testing.T, name string, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) {
	t.Helper()
	if !matches(t, selector, pod) {
		t.Errorf("%s: its selector does not match its pods", name)
	}
}

func matches(t *testing.T, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labelSet(pod.Labels))
}

type labelSet map[string]string

func (l labelSet) Has(name string) bool              { _, ok := l[name]; return ok }
func (l labelSet) Get(name string) string            { return l[name] }
func (l labelSet) Lookup(name string) (string, bool) { v, ok := l[name]; return v, ok }

// Every pod is what the namespace's own profile lets in, judged by its own code.
func TestRestrictedProfile(t *testing.T) {
	evaluator, err := psapolicy.NewEvaluator(psapolicy.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	level := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	for _, name := range overlays {
		o := build(t, name)
		space, ok := o.objects["Namespace/topup"].(*corev1.Namespace)
		if !ok || space.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("%s: the namespace does not enforce the restricted profile", name)
		}
		if len(o.pods) < 3 {
			t.Errorf("%s: has %d workloads", name, len(o.pods))
		}
		for workload, pod := range o.pods {
			for _, result := range evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
				if !result.Allowed {
					t.Errorf("%s: %s: %s: %s", name, workload, result.ForbiddenReason, result.ForbiddenDetail)
				}
			}
		}
	}
}

// What the profile does not ask for.
func TestPods(t *testing.T) {
	grace := map[string]int64{"worker": 150, "redis": 60, "serve": 30, "simulator": 10}
	for _, name := range overlays {
		o := build(t, name)
		for workload, pod := range o.pods {
			wrong := func(format string, args ...any) {
				t.Helper()
				t.Errorf(name+": "+workload+": "+format, args...)
			}
			spec := pod.Spec
			if spec.TerminationGracePeriodSeconds == nil || *spec.TerminationGracePeriodSeconds != grace[workload] {
				wrong("terminationGracePeriodSeconds is not %d", grace[workload])
			}
			if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
				wrong("gets a token of the cluster")
			}
			for _, c := range spec.Containers {
				image, tag, _ := strings.Cut(c.Image, ":")
				if tag == "" || strings.HasPrefix(tag, "latest") || image == "redis" && !strings.Contains(tag, "@sha256:") {
					wrong("image %s is not pinned", c.Image)
				}
				if c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
					wrong("can write to its root")
				}
				if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() {
					wrong("has no requests of CPU and memory, or no limit of memory")
				}
				if !c.Resources.Limits.Cpu().IsZero() {
					wrong("is slowed down between a permission and its POST by a limit of CPU")
				}
				if c.LivenessProbe == nil {
					wrong("has no liveness probe")
				}
				if c.ReadinessProbe == nil { // an update would go on with pods that do not work
					wrong("has no readiness probe")
				}
				for _, e := range c.Env {
					if e.ValueFrom != nil {
						wrong("%s comes from elsewhere than a file", e.Name)
					}
					if secret := strings.Contains(e.Name, "PASSWORD") || strings.Contains(e.Name, "SECRET") || strings.Contains(e.Name, "CLIENT_ID"); secret && !strings.HasPrefix(e.Value, "/run/secrets/") {
						wrong("%s is a secret and not a file", e.Name)
					}
				}
				for _, from := range c.EnvFrom {
					if from.SecretRef != nil {
						wrong("has secrets in its environment")
					}
				}
			}
			exists(t, o, workload, spec)
		}
		if path := probePath(o, "serve", true); path != "/livez" {
			t.Errorf("%s: serve: liveness asks %s", name, path)
		}
		if path := probePath(o, "serve", false); path != "/readyz" {
			t.Errorf("%s: serve: readiness asks %s", name, path)
		}
		for _, liveness := range []bool{true, false} {
			if path := probePath(o, "worker", liveness); path != "/metrics" { // from memory, also without Redis
				t.Errorf("%s: worker: a probe asks %s", name, path)
			}
		}
	}
}

func probePath(o *overlay, workload string, liveness bool) string {
	c := o.pods[workload].Spec.Containers[0]
	probe := c.ReadinessProbe
	if liveness {
		probe = c.LivenessProbe
	}
	if probe == nil || probe.HTTPGet == nil {
		return ""
	}
	return probe.HTTPGet.Path
}

// exists looks for each ConfigMap and Secret that a pod names. Those of the live
// overlay are made by a person.
func exists(t *testing.T, o *overlay, workload string, spec corev1.PodSpec) {
	t.Helper()
	want := func(kind, name string, items []corev1.KeyToPath) {
		t.Helper()
		object := o.objects[kind+"/"+name]
		if object == nil {
			if byHand := map[string]bool{"redis-passwords": true, "reloadly": true}; o.name != "live" || kind != "Secret" || !byHand[name] {
				t.Errorf("%s: %s: there is no %s %s", o.name, workload, kind, name)
			}
			return
		}
		secret, ok := object.(*corev1.Secret)
		for _, item := range items {
			if ok && len(secret.Data[item.Key]) == 0 {
				t.Errorf("%s: %s: Secret %s has no %s", o.name, workload, name, item.Key)
			}
		}
	}
	for _, v := range spec.Volumes {
		if v.ConfigMap != nil {
			want("ConfigMap", v.ConfigMap.Name, nil)
		}
		if v.Secret != nil {
			want("Secret", v.Secret.SecretName, v.Secret.Items)
		}
		if v.Projected != nil {
			for _, source := range v.Projected.Sources {
				want("Secret", source.Secret.Name, source.Secret.Items)
				if len(source.Secret.Items) == 0 {
					t.Errorf("%s: %s: gets all of the Secret %s", o.name, workload, source.Secret.Name)
				}
			}
		}
	}
	for _, c := range spec.Containers {
		for _, from := range c.EnvFrom {
			want("ConfigMap", from.ConfigMapRef.Name, nil)
		}
	}
}

// Nothing is open by default, and each way is there at both of its ends.
func TestNetworkPolicies(t *testing.T) {
	for _, name := range overlays {
		o := build(t, name)
		denied := o.objects["NetworkPolicy/default-deny"].(*networkingv1.NetworkPolicy)
		if len(denied.Spec.PodSelector.MatchLabels)+len(denied.Spec.PodSelector.MatchExpressions) > 0 || len(denied.Spec.Ingress)+len(denied.Spec.Egress) > 0 ||
			!slices.Equal(denied.Spec.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}) {
			t.Errorf("%s: default-deny denies less than everything", name)
		}
		for _, p := range o.policies {
			for _, rule := range p.Spec.Ingress {
				if len(rule.From) == 0 || len(rule.Ports) == 0 {
					t.Errorf("%s: %s lets everybody in, or to every port", name, p.Name)
				}
			}
			for _, rule := range p.Spec.Egress {
				if len(rule.To) == 0 || len(rule.Ports) == 0 {
					t.Errorf("%s: %s lets out to everywhere, or to every port", name, p.Name)
				}
			}
		}
		for _, way := range []struct {
			from, to string
			port     int32
			open     bool
		}{
			{"worker", "redis", 6379, true},
			{"serve", "redis", 6379, true},
			{"redis", "worker", 9090, false},
			{"redis", "redis", 6379, false},
			{"serve", "worker", 9090, false},
			{"worker", "serve", 8080, false},
			{"worker", "simulator", 8090, name == "sandbox"},
			{"serve", "simulator", 8090, false},
			{"simulator", "redis", 6379, false},
		} {
			if open := leaves(t, o, way.from, way.to, way.port) && enters(t, o, way.from, way.to, way.port); open != way.open {
				t.Errorf("%s: from %s to %s: open is %v", name, way.from, way.to, open)
			}
		}
		for workload, wants := range map[string]bool{"worker": true, "serve": false, "redis": false, "simulator": false} {
			if pod, ok := o.pods[workload]; ok && outside(t, o, pod) != wants {
				t.Errorf("%s: %s to the internet: want %v", name, workload, wants)
			}
		}
	}
}

func leaves(t *testing.T, o *overlay, from, to string, port int32) bool {
	for _, p := range o.policies {
		if !matches(t, &p.Spec.PodSelector, o.pods[from]) {
			continue
		}
		for _, rule := range p.Spec.Egress {
			if hasPort(rule.Ports, port) && reaches(t, rule.To, o.pods[to]) {
				return true
			}
		}
	}
	return false
}

func enters(t *testing.T, o *overlay, from, to string, port int32) bool {
	for _, p := range o.policies {
		if !matches(t, &p.Spec.PodSelector, o.pods[to]) {
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if hasPort(rule.Ports, port) && reaches(t, rule.From, o.pods[from]) {
				return true
			}
		}
	}
	return false
}

func hasPort(ports []networkingv1.NetworkPolicyPort, port int32) bool {
	return slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntVal == port })
}

// reaches looks at pods of the own namespace alone.
func reaches(t *testing.T, peers []networkingv1.NetworkPolicyPeer, pod corev1.PodTemplateSpec) bool {
	return pod.Labels != nil && slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		return p.PodSelector != nil && p.NamespaceSelector == nil && matches(t, p.PodSelector, pod)
	})
}

func outside(t *testing.T, o *overlay, pod corev1.PodTemplateSpec) bool {
	for _, p := range o.policies {
		if !matches(t, &p.Spec.PodSelector, pod) {
			continue
		}
		for _, rule := range p.Spec.Egress {
			for _, peer := range rule.To {
				if peer.IPBlock == nil {
					continue
				}
				if !slices.Contains(peer.IPBlock.Except, "169.254.0.0/16") && !strings.Contains(peer.IPBlock.CIDR, ":") || !hasPort(rule.Ports, 443) || len(rule.Ports) != 1 {
					t.Errorf("%s reaches more than HTTPS, or the cloud's metadata", p.Name)
				}
				return true
			}
		}
	}
	return false
}

// Drains leave something running, Redis' data stays, and there is always a worker.
func TestAvailability(t *testing.T) {
	for _, name := range overlays {
		o := build(t, name)
		for _, workload := range []string{"worker", "serve", "redis"} {
			budgets := 0
			for _, b := range o.budgets {
				if matches(t, b.Spec.Selector, o.pods[workload]) {
					budgets++
				}
			}
			if budgets != 1 {
				t.Errorf("%s: %s has %d disruption budgets", name, workload, budgets)
			}
		}
		redis := o.objects["StatefulSet/redis"].(*appsv1.StatefulSet)
		retain := redis.Spec.PersistentVolumeClaimRetentionPolicy
		if *redis.Spec.Replicas != 1 || retain == nil || retain.WhenDeleted != "Retain" || retain.WhenScaled != "Retain" || len(redis.Spec.VolumeClaimTemplates) != 1 {
			t.Errorf("%s: redis is not one server that keeps its data", name)
		}
		for _, workload := range []string{"worker", "serve"} {
			d := o.objects["Deployment/"+workload].(*appsv1.Deployment)
			if rolling := d.Spec.Strategy.RollingUpdate; rolling == nil || rolling.MaxUnavailable.IntVal != 0 || rolling.MaxSurge.IntVal != 1 {
				t.Errorf("%s: an update of %s stops one before the next runs", name, workload)
			}
			if workload == "worker" && d.Spec.MinReadySeconds <= 60 { // see there
				t.Errorf("%s: a worker that ends soon after its start would replace one that works", name)
			}
		}
	}
	o := build(t, "live")
	scaled := o.objects["ScaledObject/worker"].(*scaledObject)
	if scaled.Spec.MinReplicaCount < 1 || scaled.Spec.ScaleTargetRef.Name != "worker" {
		t.Errorf("live: workers scale to %d", scaled.Spec.MinReplicaCount)
	}
	if d := o.objects["Deployment/worker"].(*appsv1.Deployment); d.Spec.Replicas != nil {
		t.Error("live: each apply would set the number of workers again")
	}
	var lists []string
	for _, trigger := range scaled.Spec.Triggers {
		lists = append(lists, trigger.Metadata["listName"])
		authentication, ok := o.objects["TriggerAuthentication/"+trigger.AuthenticationRef.Name].(*triggerAuthentication)
		if !ok || trigger.Metadata["username"] != "scaler" || fmt.Sprint(authentication.Spec.SecretTargetRef) != "[{password redis-passwords scaler}]" {
			t.Errorf("live: the trigger for %s has no login", trigger.Metadata["listName"])
		}
	}
	if !slices.Equal(lists, []string{"asynq:{topups}:pending", "asynq:{campaigns}:pending"}) {
		t.Errorf("live: scaled by %v", lists)
	}
}

// Real money is asked for in one overlay, and made-up credentials are in the other.
func TestMoney(t *testing.T) {
	for _, name := range overlays {
		o := build(t, name)
		secrets := 0
		for key, object := range o.objects {
			if _, ok := object.(*corev1.Secret); ok {
				secrets++
			}
			if settings, ok := object.(*corev1.ConfigMap); ok && strings.HasPrefix(key, "ConfigMap/topup-") {
				if want := map[string]string{"live": "live", "sandbox": "sandbox"}[name]; settings.Data["RELOADLY_ENV"] != want {
					t.Errorf("%s: RELOADLY_ENV is %q", name, settings.Data["RELOADLY_ENV"])
				}
				if _, play := settings.Data["RELOADLY_API_URL"]; play != (name == "sandbox") {
					t.Errorf("%s: the simulator is addressed: %v", name, play)
				}
			}
		}
		if (secrets > 0) != (name == "sandbox") {
			t.Errorf("%s: has %d secrets in its files", name, secrets)
		}
		if _, play := o.pods["simulator"]; play != (name == "sandbox") {
			t.Errorf("%s: runs a simulator: %v", name, play)
		}
	}
}
