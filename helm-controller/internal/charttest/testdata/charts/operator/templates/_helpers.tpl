{{- define "operator.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
{{/* Cluster-scoped names carry the namespace: two releases must not share them. */}}
{{- define "operator.clusterName" -}}
{{ .Release.Namespace }}-{{ .Release.Name }}
{{- end -}}
