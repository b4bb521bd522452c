{{- define "database.fullname" -}}
{{- printf "%s-database" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "database.labels" -}}
app.kubernetes.io/name: database
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "database.selector" -}}
app.kubernetes.io/name: database
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "database.secretName" -}}
{{- .Values.auth.existingSecret | default (include "database.fullname" .) -}}
{{- end -}}

{{/*
A password in base64: the one of the values, or what the Secret in the cluster has, or a new one.
Call it with a dict of root, key and given.
*/}}
{{- define "database.password" -}}
{{- $kept := dig "data" .key "" (lookup "v1" "Secret" .root.Release.Namespace (include "database.fullname" .root)) -}}
{{- if .given -}}
{{- .given | toString | b64enc -}}
{{- else if $kept -}}
{{- $kept -}}
{{- else -}}
{{- randAlphaNum 24 | b64enc -}}
{{- end -}}
{{- end -}}

{{- define "database.replicas" -}}
{{- if eq .Values.architecture "replication" }}{{ .Values.readReplicas.replicaCount | int }}{{ else }}0{{ end -}}
{{- end -}}
